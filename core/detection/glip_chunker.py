"""Noun phrases of an English sentence, without a tagger and without anything to download.

The released demo tags words with NLTK and takes what fits DT? JJ* NN+ (microsoft/GLIP at 9dda955,
engine/predictor_glip.py). Here words that cannot be in a noun phrase are listed or known by their endings, and what
stands between them is one: an optional determiner or number, then words of which the last is no adjective. It errs
where a verb is on no list and ends like a noun; a user can mark entities by hand.

A phrase that names no thing is left out: the picture itself ('a photo of'), and sides ('to the left of').
"""

import re
from dataclasses import dataclass

WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _words(
    "a an the this that these those my your his her its our their some any each every both all no another other "
    "one two three four five six seven eight nine ten several many few"
)
STOPS = _words(
    "in on at of to from with without by for over under above below behind beside between near next into onto through "
    "across along around against inside outside off up down out about after before during while as like than toward "
    "towards upon within beneath underneath and or but nor so yet if because when where which who whom whose what how "
    "that's there here it he she they we you i him them us me itself himself herself themselves something somebody "
    "someone nothing nobody everyone everything not n't very too also just only still already now then again away "
    "together apart far close quite almost never always often there's it's is are was were be been being am do does "
    "did has have had can could will would shall should may might must not"
)
VERBS = _words(
    "sit stand lie lay run walk jump play ride hold carry look watch wear eat drink drive fly swim sleep rest park "
    "hang lean show see make take put give get go come keep let say contain include cover fill surround face cross "
    "throw catch kick hit push pull chase follow climb touch smile talk speak read write use pose perform prepare "
    "cook cut travel move float stop wait work grow feed graze feature depict gather compete travel tell want"
)
IRREGULAR = _words(
    "sat stood lying lay ran rode held wore ate drank drove flew swam slept hung shown seen made took taken gave given "
    "got went came kept said threw caught spoke wrote grew fed told lit"
)
ADJECTIVES = _words(
    "red orange yellow green blue purple pink brown black white grey gray golden silver beige small big large little "
    "tiny huge tall short long high low wide thin thick fat old young new empty full open closed wet dry hot cold warm "
    "bright dark pale round square flat striped checkered dotted plain spotted wooden metal plastic happy sad "
    "beautiful pretty nice good bad clean dirty fast slow left right front back top bottom upper lower different same "
    "parked seated busy ready visible remote"
)
NOUNS_IN_ING = _words(
    "thing ring king wing string building ceiling painting clothing railing evening morning swing wedding parking "
    "crossing spring sling earring awning stocking duckling sibling pudding icing sting lightning drawing"
)
PICTURES = _words(
    "picture photo photograph image rendering drawing sketch painting view close-up closeup scene shot snapshot "
    "illustration silhouette shadow depth"
)
SIDES = _words("left right front back top bottom side middle center centre edge distance background")


@dataclass(frozen=True)
class Phrase:
    """A noun phrase and its characters in the sentence."""

    text: str
    span: tuple[int, int]

    @property
    def noun(self) -> str:
        """The last word, which names the thing."""
        return WORD.findall(self.text)[-1].lower()


def noun_phrases(sentence: str) -> tuple[Phrase, ...]:
    """Return a sentence's noun phrases in order; none where it names no thing."""
    found: list[Phrase] = []
    run: list[re.Match[str]] = []
    words = list(WORD.finditer(sentence))
    for number, word in enumerate(words):
        if run and not _blank(sentence[run[-1].end() : word.start()]):
            found += _phrase(run, sentence)  # punctuation lies between
            run = []
        lower, following = word[0].lower(), words[number + 1][0].lower() if number + 1 < len(words) else ""
        if lower in DETERMINERS:
            found += _phrase(run, sentence)
            run = [word]
        elif lower in STOPS or _is_verb(lower, run, following):
            found += _phrase(run, sentence)
            run = []
        else:
            run.append(word)
    return tuple(found + _phrase(run, sentence))


def _phrase(run: list[re.Match[str]], sentence: str) -> list[Phrase]:
    """Return a run of words as a phrase, without what cannot end one; none where nothing is left."""
    run = list(run)
    following = sentence[run[-1].end() :].strip().lower() if run else ""
    if run and run[-1][0].lower() in PICTURES and following.startswith("of "):
        return []
    if run and run[-1][0].lower() in SIDES and len(_content(run)) == 1:
        return []
    while run and run[-1][0].lower() in ADJECTIVES and not (run[-1][0].lower() == "orange" and len(run) == 2):
        run.pop()
    if not _content(run):
        return []
    span = (run[0].start(), run[-1].end())
    return [Phrase(sentence[span[0] : span[1]], span)]


def _content(run: list[re.Match[str]]) -> list[str]:
    return [word[0].lower() for word in run if word[0].lower() not in DETERMINERS]


def _is_verb(word: str, run: list[re.Match[str]], following: str) -> bool:
    """Say whether a word that follows this run is a verb: listed, or by its ending after a noun."""
    after_noun = any(each not in ADJECTIVES for each in _content(run))
    stem = {word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("d"), word.removesuffix("ed")}
    if word in IRREGULAR or stem & VERBS:
        return not run or after_noun or word in IRREGULAR
    if word.endswith("ing") and word not in NOUNS_IN_ING:
        return after_noun or not run
    return word.endswith("ed") and len(word) > 4 and after_noun and (following in STOPS or following in DETERMINERS)


def _blank(between: str) -> bool:
    return not between.strip()
