"""Files of poses: our lossless ``.npz``, COCO JSON and OpenPose JSON."""
