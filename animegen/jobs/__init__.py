"""The job folder: artefacts that stand under their names only when whole."""
