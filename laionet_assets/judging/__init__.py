"""People who judge whether a picture shows the class of its label: the sheet that they look at, and their verdicts.

Not here: which pictures are judged (`assets.judging`), what verdicts say of a recipe (`stats.noise`).
"""

from laionet_assets.judging.sheet import Question, write_sheet
from laionet_assets.judging.verdicts import Verdict, VerdictFileError, read_verdicts

__all__ = ["Question", "Verdict", "VerdictFileError", "read_verdicts", "write_sheet"]
