"""The classes of ImageNet-1k, as the layer above hands them to the predictors."""

from laionet_assets.predictors import ImageNetClasses
from laionet_assets.taxonomy import load_synsets

CLASSES = ImageNetClasses.of_rows((synset.wnid, synset.lemmas) for synset in load_synsets("imagenet-1k"))


def imagenet_1k() -> dict[str, str]:
    """wnid -> lemmas as one text, in the order of class indices."""
    return dict(CLASSES.names)
