"""Backgrounds without the people, mattes, and avatars laid on the frame."""
