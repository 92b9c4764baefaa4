"""Every metric and bench, once."""
