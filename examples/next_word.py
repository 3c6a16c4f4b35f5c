"""An input method: while you type, a network proposes the next word, and what you have begun narrows its proposals.

A recurrent network has read sentences, of whatever lengths they had, and learned to tell after each word which one
comes next. Its answer is a probability for every word it knows. The letters of a word already begun only strike out
the words that begin otherwise and share their probability among the rest; for Chinese the letters are those of pinyin.
`python examples/next_word.py [FILE]` learns FILE, or Tiny Shakespeare if it is below ELMAN_DATA, or the messages below;
on a terminal it then goes on with what you type.
"""

import os
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from elman import Sequential, layers, optimizers

MESSAGES = """
i am on my way home. i am on the train. i am on the bus. i am at work. i am at home. i am in the garden. i am so sorry.
i will be late. i will be home soon. i will be there in ten minutes. i will call you later. i will call you tomorrow.
i will bring the cake. i will bring some bread. i think so. i think the train is late. i think that is a good idea.
the train is late again. the bus is full. the cat is in the garden. the cat is hungry again. the weather is good today.
the weather is bad today. that is a good idea. that is very kind of you. that was a good film. this is a good book.
thank you for the book. thank you for the cake. thank you so much. thanks a lot. happy birthday! happy new year!
do you want some tea? do you want some coffee? do you want to see a film tonight? do you have time tomorrow?
where are you? where is the cat? where are my keys? what time is it? what do you want to eat? what do you think?
when will you be home? when is the next train? see you later. see you tomorrow. see you tonight. see you soon.
let us meet at the station. let us meet at six. let us go home. can you call me later? can you bring some bread?
please call me when you are home. please buy some tea. please feed the cat. good morning! good luck tomorrow!
"""

CHINESE = """
我 想 买 一 部 新 手机 。 我 想 买 一 本 书 。 我 想 喝 一 杯 热 茶 。 我 想 喝 一 杯 咖啡 。 我 想 吃 一 碗 面条 。
你 想 吃 什么 ? 你 想 喝 什么 ? 你 在 哪里 ? 我 在 家 。 我 在 学校 。 我 在 路上 。 我 马上 到 。 我 晚上 到 家 。
今天 天气 很 好 。 今天 下午 有 雨 。 今天 晚上 我们 去 看 电影 。 明天 天气 怎么样 ? 明天 早上 我 去 学校 。
明天 晚上 你 有 时间 吗 ? 我 今天 没 有 时间 。 我 今天 很 忙 。 你 今天 忙 吗 ? 我们 明天 见 。 我们 晚上 见 。
谢谢 你 的 茶 。 谢谢 你 的 书 。 生日 快乐 ! 新年 快乐 ! 我 喜欢 看 书 。 我 喜欢 看 电影 。 我 喜欢 喝 茶 。
妈妈 喜欢 喝 咖啡 。 爸爸 喜欢 看 书 。 妈妈 在 家 等 我 。 爸爸 在 学校 等 我 。 我 的 手机 坏 了 。
我 的 手机 没 电 了 。 下雨 了 , 记得 带 伞 。 到 家 了 告诉 我 。 别 忘 了 买 面条 。 别 忘 了 带 书 。
别 忘 了 给 妈妈 打 电话 。 我 晚上 给 你 打 电话 。 我 明天 给 爸爸 打 电话 。
你 的 书 在 我 家 。 这 本 书 很 好 。 这 杯 茶 很 热 。
"""

PINYIN = """
我 wo 想 xiang 买 mai 一 yi 部 bu 新 xin 手机 shouji 本 ben 书 shu 喝 he 杯 bei 热 re 茶 cha 咖啡 kafei 吃 chi 碗 wan
面条 miantiao 你 ni 什么 shenme 在 zai 哪里 nali 家 jia 学校 xuexiao 路上 lushang 马上 mashang 到 dao 晚上 wanshang
今天 jintian 天气 tianqi 很 hen 好 hao 下午 xiawu 有 you 雨 yu 我们 women 去 qu 看 kan 电影 dianying 明天 mingtian
怎么样 zenmeyang 早上 zaoshang 时间 shijian 吗 ma 没 mei 忙 mang 见 jian 谢谢 xiexie 的 de 生日 shengri 快乐 kuaile
新年 xinnian 喜欢 xihuan 妈妈 mama 爸爸 baba 等 deng 坏 huai 了 le 电 dian 下雨 xiayu 记得 jide 带 dai 伞 san
告诉 gaosu 别 bie 忘 wang 给 gei 打 da 电话 dianhua 这 zhe
"""

START, UNKNOWN = 0, 1


class InputMethod:
    """Words in, probable next words out.

    Args:
        text: to learn from; words that it has less than `least` times are not proposed.
        spelling: word -> the letters it is typed with; a word is its own spelling if it is not there.
    """

    def __init__(self, text, *, spelling=None, least=1, units=64, epochs=60, batch_size=8, seed=0):
        sentences = [self.split(s) for s in re.split(r"(?<=[.!?。!?;:])\s|\n\n", text)]
        counts = Counter(word for sentence in sentences for word in sentence)
        self.words = ["<start>", "<unknown>", *sorted(word for word, n in counts.items() if n >= least)]
        self.ids = {word: k for k, word in enumerate(self.words)}
        self.spelling = [(spelling or {}).get(word, word) for word in self.words]
        size = len(self.words)
        read, answer = layers.GRU(units, return_sequences=True), layers.Dense(size, activation="softmax")
        self.model = Sequential([layers.Embedding(size, units), read, answer])
        self.model.compile(optimizers.Adam(5e-3), "cross_entropy", clip=5.0)
        heard = [np.array([START, *map(self.id, sentence)]) for sentence in sentences if sentence]
        x, y = [ids[:-1] for ids in heard], [ids[1:] for ids in heard]
        self.history = self.model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0, rng=seed)

    @staticmethod
    def split(text):
        """Return the words and signs of a text."""
        return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text.lower())

    def id(self, word):
        """Return the number of a word."""
        return self.ids.get(word, UNKNOWN)

    def probabilities(self, before, begun=""):
        """Return a probability for every word after the words before, all of whose spellings begin as given."""
        sentence = self.split(re.split(r"[.!?。!?;:]", before)[-1])
        p = self.model.predict([[START, *map(self.id, sentence)]])[0][-1]
        p = np.where([spelling.startswith(begun) for spelling in self.spelling], p, 0.0)
        p[[START, UNKNOWN]] = 0.0
        return p / p.sum() if p.any() else p

    def candidates(self, typed, n=5):
        """Return the n most probable words for what was typed; what follows the last space is a word begun."""
        before, _, begun = typed.lower().rpartition(" ")
        p = self.probabilities(before, begun)
        return [(self.words[k], p[k]) for k in np.argsort(-p, kind="stable")[:n] if p[k] > 0]


def show(method, typed):
    """Print candidates as an input method does."""
    likely = [(word, p) for word, p in method.candidates(typed) if p >= 0.005]
    line = "   ".join(f"{n} {word} {100 * p:.0f} %" for n, (word, p) in enumerate(likely, 1))
    print(f"> {typed}_\n  {line or 'no word that I know begins so'}")


def chinese():
    """Return an input method for Chinese, typed in pinyin."""
    pairs = PINYIN.split()
    return InputMethod(CHINESE, spelling=dict(zip(pairs[::2], pairs[1::2], strict=True)))


def main(path=None):
    """Learn a text and propose words for some beginnings, then for what is typed."""
    known = Path(os.environ.get("ELMAN_DATA", ""), "tinyshakespeare", "input.txt")
    if path is None and known.exists():
        path = known
    if path is None:
        method = InputMethod(MESSAGES)
        beginnings = ["", "i am ", "i am on ", "i am on the t", "th", "thank you for th", "do you want some "]
    else:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            sys.exit(f"next_word: {path} cannot be read as text: {error}")
        print(f"reading {path}, {len(text):,} characters, three times ...", flush=True)
        method = InputMethod(text, least=5, units=128, epochs=3, batch_size=32)
        beginnings = ["", "my ", "my lord , ", "good ", "good m", "i th", "what is th", "to be or not to "]
    print(f"{len(method.words) - 2:,} words learned\n")
    for typed in beginnings:
        show(method, typed)
    print("\nand in Chinese, by pinyin\n")
    in_chinese = chinese()
    for typed in ["", "wo", "我 想 ", "我 想 买 一 ", "我 想 买 一 b", "今天 ", "今天 w", "别 忘 了 给 妈妈 "]:
        show(in_chinese, typed)
    while sys.stdin.isatty() and (typed := input("\ntype (empty to end): ")):
        show(in_chinese if re.search("[\u4e00-\u9fff]", typed) else method, typed)


if __name__ == "__main__":
    main(*sys.argv[1:2])
