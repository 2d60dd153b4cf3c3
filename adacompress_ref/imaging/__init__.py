"""Bytes to pictures, pictures to encodings and to feature maps."""
