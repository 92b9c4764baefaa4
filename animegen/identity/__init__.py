"""Who a track is: palette and recognition."""
