"""The pose-conditioned generator of avatars: conditioning, networks, data, training and evaluation."""
