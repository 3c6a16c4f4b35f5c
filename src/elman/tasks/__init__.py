"""Tasks: from raw data to answers; and `load`, for a file knows what it is.

Example:
    >>> import tempfile
    >>> from elman.tasks import LanguageModel, load
    >>> model = LanguageModel(layers=1, hidden=8, batch=4, steps=20, epochs=1, verbose=0)
    >>> _ = model.fit("what is past is prologue " * 20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.elman")
    ...     again = load(f"{folder}/model.elman")
    >>> type(again).__name__, again.hidden, again.steps
    ('LanguageModel', 8, 20)
"""

from elman.tasks.addition import BinaryAdder
from elman.tasks.base import Task
from elman.tasks.byte_vocabulary import ByteVocabulary
from elman.tasks.classifier import SequenceClassifier
from elman.tasks.corpus import Corpus
from elman.tasks.describe import describe
from elman.tasks.language_model import LanguageModel
from elman.tasks.loading import TASKS, load
from elman.tasks.memory import adding_problem, copy_memory
from elman.tasks.network import NetworkData
from elman.tasks.regressor import SequenceRegressor
from elman.tasks.saving import SaveEachEpoch
from elman.tasks.tables import read_sequences
from elman.tasks.tagger import SequenceTagger
from elman.tasks.text_files import find_files, read_text
from elman.tasks.text_stream import TextStream
from elman.tasks.token_vocabulary import TokenVocabulary
from elman.tasks.vocabulary import Vocabulary
from elman.tasks.word_vocabulary import WordVocabulary

__all__ = [
    "TASKS",
    "BinaryAdder",
    "ByteVocabulary",
    "Corpus",
    "LanguageModel",
    "NetworkData",
    "SaveEachEpoch",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceTagger",
    "Task",
    "TextStream",
    "TokenVocabulary",
    "Vocabulary",
    "WordVocabulary",
    "adding_problem",
    "copy_memory",
    "describe",
    "find_files",
    "load",
    "read_sequences",
    "read_text",
]
