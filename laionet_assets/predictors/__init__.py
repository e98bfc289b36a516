"""Predictors: pictures to the ImageNet classes that a model sees in them, best first, with scores.

Here: which class each output of a model stands for, with proof (`labels`), the classifiers of timm and transformers
(`classifiers`) and the zero-shot towers of open_clip (`zero_shot`) behind one small protocol (`predictor`), and many
pictures through several of them (`prediction_stream`). Not here: how a model is named and loaded (`models`), which
pictures are predicted and where the rows go (`assets`), whether a prediction is right and how accuracies are weighted:
that is SQL.
"""

from laionet_assets.predictors.labels import ImageNetClasses
from laionet_assets.predictors.prediction_stream import Outcome, predict_stream
from laionet_assets.predictors.predictor import Predictor, load_predictor, predictor_identity
from laionet_assets.predictors.real import real_labels

__all__ = [
    "ImageNetClasses",
    "Outcome",
    "Predictor",
    "load_predictor",
    "predict_stream",
    "predictor_identity",
    "real_labels",
]
