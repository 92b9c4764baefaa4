"""Joins the stages: analyse, cast, render."""
