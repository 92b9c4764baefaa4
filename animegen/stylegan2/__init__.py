"""StyleGAN2: networks, readers of public checkpoints, inversion, editing and unsupervised transfer."""
