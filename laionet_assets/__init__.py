"""Recreate ImageNet from web captions and measure how the copy differs."""
