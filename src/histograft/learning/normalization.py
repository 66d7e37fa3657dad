"""Constants that normalize the input of networks: (value / 255 - mean) / std."""

from __future__ import annotations

# Of ImageNet's training images, mean and standard deviation of R, G, B on the scale 0 … 1, as
# torchvision and timm state them with their weights.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
