"""Which pose of this frame is which person of the frames before."""
