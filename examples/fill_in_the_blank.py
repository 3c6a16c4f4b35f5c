"""Which word fits 我的手机坏了,我打算____一部新手机 (my phone is broken, I am going to ____ a new phone)?

Who reads only as far as the blank must guess: one may repair a broken phone, throw it away or buy another. What decides
it comes after. A bidirectional layer is two networks, of which one reads the sentence from the left and one from the
right; where they meet, at the blank, they know both sides. Both models below learn from the same sentences, none of
which tells of a broken phone; what is known of phones and of broken things has to be put together.
"""

from itertools import product

import numpy as np

from elman import Sequential, layers, optimizers

BLANK = "____"
PEOPLE = ["我", "他", "她", "爸爸", "妈妈", "哥哥", "姐姐", "老师"]
PLANS = ["打算", "准备", "想", "决定"]
MEASURES = {"手机": "部", "电脑": "台", "电视": "台", "相机": "台", "自行车": "辆", "雨伞": "把", "椅子": "把"}
MEASURES |= {"手表": "块", "台灯": "盏", "眼镜": "副", "书包": "个", "杯子": "个"}
# What has happened to a thing, and what one then does with what: verb, and what follows it.
BUY, REPAIR = ("买", "一 {measure} 新 {thing}"), ("修", "一下 旧 的 {thing}")
DROP, BORROW = ("扔", "掉 旧 的 {thing}"), ("借", "朋友 的 {thing} 用 几 天")
ABOUT_THINGS = {
    "{who} 的 {thing} 坏 了": [BUY, REPAIR, DROP, BORROW],
    "{who} 的 {thing} 太 旧 了": [BUY, REPAIR, DROP],
    "{who} 的 {thing} 丢 了": [BUY, BORROW],
    "{who} 没 钱 了": [("卖", "一 {measure} 新 {thing}"), ("卖", "掉 旧 的 {thing}"), BORROW],
    "{who} 的 妹妹 快 过 生日 了": [("送", "她 一 {measure} 新 {thing}")],
}
ABOUT_LIFE = {
    "{who} 饿 了": [("吃", "一 碗 热 面条"), ("吃", "一 碗 米饭"), ("做", "一 碗 热 面条 吃")],
    "{who} 渴 了": [("喝", "一 杯 热 茶"), ("喝", "一 杯 水"), ("买", "一 杯 水")],
    "{who} 今天 有 空": [("看", "一 部 新 电影"), ("看", "一 本 新 书"), ("听", "一 首 新 歌"), ("写", "一 封 信")],
}
QUESTIONS = [
    "我 的 手机 坏 了 , 我 打算 ____ 一 部 新 手机",
    "我 的 手机 坏 了 , 我 打算 ____ 一下 旧 的 手机",
    "我 的 手机 坏 了 , 我 打算 ____ 朋友 的 手机 用 几 天",
    "我 没 钱 了 , 我 打算 ____ 一 部 新 手机",
    "我 今天 有 空 , 我 打算 ____ 一 部 新 电影",
]


def corpus():
    """Return pairs of a sentence with a blank and the word that was there."""
    patterns = [(c, v, rest) for about in (ABOUT_THINGS, ABOUT_LIFE) for c, ends in about.items() for v, rest in ends]
    found = {}
    for (cause, verb, rest), who, plan, (thing, measure) in product(patterns, PEOPLE, PLANS, MEASURES.items()):
        sentence = f"{cause} , {{who}} {plan} {BLANK} {rest}".format(who=who, thing=thing, measure=measure)
        found[sentence] = verb
    return list(found.items())


def split(pairs):
    """Return the pairs to learn from and those kept: every broken phone, and all that will be asked."""
    kept = [(s, verb) for s, verb in pairs if "手机 坏" in s or s in QUESTIONS]
    return [pair for pair in pairs if pair not in kept], kept


class Reader:
    """A model that tells the word in the blank.

    Args:
        pairs: sentences and words to learn.
        both_sides: whether it reads what comes after the blank.
    """

    def __init__(self, pairs, *, both_sides, epochs=4, seed=0):
        self.words = sorted({word for sentence, verb in pairs for word in [*sentence.split(), verb]})
        self.ids = {word: k for k, word in enumerate(self.words)}
        reader = layers.LSTM(32, return_sequences=True)
        self.model = Sequential(
            [
                layers.Embedding(len(self.words), 32),
                layers.Bidirectional(reader) if both_sides else reader,
                layers.Dense(len(self.words), activation="softmax"),
            ]
        )
        self.model.compile(optimizers.Adam(3e-3), "cross_entropy")
        x = [self.encode(sentence) for sentence, _ in pairs]
        at_blank = [ids == self.ids[BLANK] for ids in x]
        y = [np.where(blank, self.ids[verb], ids) for ids, blank, (_, verb) in zip(x, at_blank, pairs, strict=True)]
        weights = [blank.astype(float) for blank in at_blank]  # only the answer at the blank counts
        self.model.fit(x, y, sample_weight=weights, epochs=epochs, batch_size=32, verbose=0, rng=seed)

    def encode(self, sentence):
        """Return the numbers of the words."""
        return np.array([self.ids[word] for word in sentence.split()])

    def candidates(self, sentence, n=4):
        """Return the n most probable words for the blank."""
        (p,) = self.model.predict([self.encode(sentence)])
        p = p[sentence.split().index(BLANK)]
        return [(self.words[k], p[k]) for k in np.argsort(-p, kind="stable")[:n]]

    def accuracy(self, pairs):
        """Return the share of blanks filled with the word that was there."""
        return np.mean([self.candidates(sentence, 1)[0][0] == verb for sentence, verb in pairs])


def main(seed=0):
    """Train both models and print what they say."""
    pairs, kept = split(corpus())
    readers = {
        "both sides": Reader(pairs, both_sides=True, seed=seed),
        "left side": Reader(pairs, both_sides=False, seed=seed),
    }
    print(f"{len(pairs):,} sentences read, {len(kept)} kept")
    for question in QUESTIONS:
        print(f"\n{question.replace(' ', '')}")
        for name, reader in readers.items():
            found = "   ".join(f"{word} {100 * p:.0f} %" for word, p in reader.candidates(question) if p >= 0.005)
            print(f"  {name:12} {found}")
    print("\nright on the sentences kept:", end="")
    for name, reader in readers.items():
        print(f"   {name} {100 * reader.accuracy(kept):.0f} %", end="")
    print()
    return readers


if __name__ == "__main__":
    main()
