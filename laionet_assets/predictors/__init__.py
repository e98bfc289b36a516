"""Predictors: pictures to the ImageNet classes that a model sees in them, best first, with scores.

Here: which model a user names and what its predictions depend on (`spec`), which class each output of a model stands
for, with proof (`labels`), the classifiers of timm and transformers (`classifiers`, their pictures: `preparing`) and
the zero-shot towers of open_clip (`zero_shot`) behind one small protocol (`predictor`), and the stream that decodes
once and predicts with several models (`stream`). Not here: which pictures are predicted and where the rows go
(`assets`), whether a prediction is right and how accuracies are weighted: that is SQL.
"""

from laionet_assets.models.prompts import ClassPrompts, query_prompts, template_prompts
from laionet_assets.predictors.prediction_stream import Outcome, predict_stream
from laionet_assets.predictors.predictor import Predictor, load_predictor
from laionet_assets.predictors.real import real_labels
from laionet_assets.predictors.spec import PredictorError, PredictorSpec, parse_predictor, predictor_identity

__all__ = [
    "ClassPrompts",
    "Outcome",
    "Predictor",
    "PredictorError",
    "PredictorSpec",
    "load_predictor",
    "parse_predictor",
    "predict_stream",
    "predictor_identity",
    "query_prompts",
    "real_labels",
    "template_prompts",
]
