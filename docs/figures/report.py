"""Gates and states of a character model beside its text: a picture of the report."""

import pydoc_data.topics

import matplotlib.pyplot as plt

import elman

topics = pydoc_data.topics.topics
text = "\n".join(topics[name] for name in sorted(topics))
model = elman.LanguageModel(layers=1, hidden=40, batch=16, lr=5e-3, epochs=2, random_state=0, verbose=0).fit(
    text[:30_000]
)
report = elman.inspect(model, text[50_000:50_400], verbose=0)
plt.figure(FigureClass=lambda *_, **__: report["states"].plot())
