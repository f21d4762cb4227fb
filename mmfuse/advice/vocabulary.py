"""Words that the field uses, in several languages: for a missing value, for disease, for what is known only later.

They are compared in `plain` form, so that case, accents, brackets and spaces do not matter. That a word stands here is
a suspicion to be told, never a fact.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache


@lru_cache(maxsize=2**16)
def plain(word: str) -> str:
    """Return the word in small letters, without accents, wrapping brackets, and spaces that say nothing."""
    if not word.isascii():
        signs = unicodedata.normalize("NFKD", word)
        word = "".join(sign for sign in signs if unicodedata.category(sign) != "Mn").replace("ı", "i").replace("ł", "l")
    word = " ".join(word.casefold().strip("<>()[]{}\"'` ").replace("_", " ").replace("’", "'").split())
    return word.replace(". ", ".").rstrip(".") or word


def _list(text: str) -> frozenset[str]:
    return frozenset(plain(word) for word in text.replace("\n", ",").split(",") if word.strip())


_MISSING = _list("""
na, n/a, n.a, nan, nat, null, void, unknown, unk, unspecified, undefined, missing, n/k, tbd, empty, blank, not available
not applicable, not known, not recorded, not reported, not provided, not documented, not specified, not stated
not assessed, not collected, not given, not performed, not done, not tested, not disclosed, no data, no info
no information, no answer, missing data, data missing, don't know, prefer not to say, declined, refused
unbekannt, nicht bekannt, nicht angegeben, nicht verfügbar, nicht erhoben, nicht dokumentiert, nicht erfasst
keine angabe, keine angaben, k.a, keine daten, ohne angabe, o.a, fehlt, fehlend, entfällt, nicht zutreffend
inconnu, inconnue, non renseigné, non renseignée, non disponible, non précisé, non précisée, non connu, manquant
manquante, donnée manquante, sans objet, ne sait pas
desconocido, desconocida, se desconoce, s/d, sin dato, sin datos, no disponible, no consta, no especificado
no informado, no aplica, ns/nc
desconhecido, desconhecida, não informado, sem informação, sem dados, ignorado, não disponível, não se aplica
sconosciuto, sconosciuta, non noto, non nota, ignoto, mancante, non specificato, non applicabile, dato mancante
onbekend, niet bekend, niet beschikbaar, ontbreekt, n.v.t, okänd, okänt, saknas, uppgift saknas, ukjent, ukendt
ikke oppgitt, ikke oplyst, tuntematon, ei tiedossa, ei tietoa, nieznany, nieznana, nieznane, brak danych, nie dotyczy
b.d, neznámé, neznámý, neznámá, neuvedeno, ismeretlen, nincs adat, necunoscut, necunoscută, nespecificat, nepoznato
bilinmiyor, belirtilmemiş, άγνωστο, άγνωστος, άγνωστη
не известно, неизвестно, неизвестен, неизвестна, нет данных, нет сведений, не указано, не указан, не указана, н/д, н.д
не применимо, невідомо, немає даних
不详, 不詳, 未知, 缺失, 缺, 无数据, 無數據, 未提供, 未记录, 不适用, 不明, 未記入, 欠損, 該当なし, 모름, 미상, 알 수 없음
غير معروف, غير متوفر, לא ידוע, אין נתונים, अज्ञात, không rõ, không biết, tidak diketahui
""")
_AMBIGUOUS = _list(
    "none, nil, n.d, nd, n.n, n.r, nr, brak, aucun, aucune, keine, ninguno, ninguna, nessuno, nessuna, нет, 无,"
    "なし, 없음"
)
"""Among categories a class or a gap; among numbers often 0, or less than could be measured."""
_SHEET = re.compile(r"#(n/?[advk]|н/?д|.+[!?])", re.IGNORECASE)
"""What a spreadsheet writes for an error, in any of its languages: #N/A, #NV, #DIV/0!, #WERT!, #¿NOMBRE?"""

_GENERIC = _list("""
malignant, malignancy, positive, pos, yes, true, present, case, abnormal, diseased, disease, sick, affected, dead, died
deceased, bösartig, maligne, krank, ja, auffällig, positiv, verstorben, malin, positif, oui, malade, anormal, décédé
maligno, maligna, positivo, positiva, sí, si, sim, enfermo, enferma, fallecido, doente, malato, malata, kwaadaardig
złośliwy, złośliwa, tak, chory, malign, evet, rosszindulatú, igen, elakartad, злокачественное, злокачественный
злокачественная, положительный, положительно, да, болен, 恶性, 惡性, 阳性, 陽性, 是, 患病, 悪性, はい, あり
악성, 양성반응, 예, خبيث, نعم, ממאיר, כן
""")
_MELANOMA = _list("melanoma, mel, melanom, mélanome, melanoom, меланома, 黑色素瘤, メラノーマ, 흑색종")
_CANCER = _list("""
cancer, carcinoma, adenocarcinoma, sarcoma, lymphoma, leukemia, leukaemia, glioma, metastasis, metastatic, krebs
karzinom, sarkom, metastase, carcinome, cáncer, câncer, cancro, cancer, carcinom, kanker, rak, рак, карцинома, саркома
癌, 癌症, がん, 肉瘤, 암
""")
_DISEASE = (_GENERIC, _MELANOMA, _CANCER)
"""The first of these of which exactly one class speaks names the positive one."""
_NEGATING = _list("""
no, non, not, none, nicht, kein, keine, ohne, pas, sans, sin, sem, senza, niet, geen, nie, bez, не, нет, без, pre
benign, gutartig, negative, negativ, former, history, suspected
""")

_LATER = _list("""
birads, rads, report, reports, keywords, interpretation, dx, ddx, iddx, confirmed, confirm, confirmation, survival
relapse, progression, tnm, stage, staging, grade, grading, gleason, mask, segmentation, malignant, malignancy
management, outcome, verification, confidence, certainty, clark, mitosis, mitoses, mitotic, ulceration, ulzeration
invasion, sentinel, recist, discharge, death, died, deceased, mortality, befund, entlassung, tod, todesdatum, nachsorge
rezidiv, stadium, eindringtiefe, tumordicke, rechute, récidive, décès, stade, recaída, recidiva, estadio, estádio, esito
recidief, wznowa, zgon, исход, стадия, рецидив, заключение
诊断, 診断, 診斷, 病理, 治疗, 治療, 手术, 手術, 活检, 生検, 分期, 预后, 随访, 转移, 치료, 수술, 진단, 병기, 예후
""")
"""Words of column names that speak of what is known only after the diagnosis."""
_STEMS = tuple(
    _list("""
histolog, histopath, patholog, patolog, anapath, istolog, diagnos, therap, terap, treat, traitement, tratamient
tratament, trattament, behandl, behandel, leczeni, biops, excis, exzis, exérèse, surg, chirurg, cirug, cirurg, chemo
chimio, quimio, radioth, bestrahl, resect, resek, metasta, operiert, operated, operation, operación, operação, postop
followup, breslow, prognos, recurren, гистолог, биопс, лечен, терап, операц, диагноз, метаста, патолог, хирург
""")
)
"""Beginnings of such words; of six letters or more also what a compound holds (`Nachbehandlung`)."""
_COMPOUND = 6
_UNSPACED = tuple(sorted(word for word in _LATER if all(sign >= "\u1100" for sign in word)))
"""Of languages that put no space between words."""
_PAIRS = (("mel", "thick"), ("tumor", "thickness"), ("tumour", "thickness"), ("follow", "up"), ("ki", "67"))
"""Words that say so side by side."""
_MADE = _list("monet, prediction, predicted, pred, probability, prob, logit, logits, softmax")

_TIMES = _list("""
time, days, months, years, survival, os, pfs, dfs, rfs, ttp, zeit, überleben, überlebenszeit, survie, supervivencia, fu
followup, duration, tage, monate, jours, mois, días, meses
""")
_EVENTS = _list("event, status, censored, censor, censoring, cens, dead, death, died, deceased, vital, ereignis, tod")


def has_digit(word: str) -> bool:
    """Return whether any digit stands in it: such a word measures or counts something, and is never a missing value."""
    return any(sign.isdigit() for sign in word)


def means_missing(word: str) -> bool:
    """Return whether the word looks like no value: `NA`, `unknown`, `k. A.`, `#DIV/0!`, `(null)`, `?`.

    A word with digits never does, but for a spreadsheet's errors; nor does a sign of a positive finding (`+`, `++`).
    """
    if word.startswith("#") and _SHEET.fullmatch(word):
        return True
    if not any(sign.isalnum() for sign in word):
        return "+" not in word
    form = plain(word)
    return form in _MISSING or form in _AMBIGUOUS


def missing_among_numbers(word: str) -> bool:
    """Return whether the word means no value in a column of numbers, where `none` and `n. d.` may mean 0 or little."""
    return means_missing(word) and (plain(word) not in _AMBIGUOUS or word == "None")


def disease_class(classes: Sequence[str]) -> str:
    """Return the one class whose words speak of disease, empty where none does or it is not clear which.

    `malignant`, `positive`, `yes` and their kind come before melanoma, this before cancers.
    """
    for known in _DISEASE:
        found = [name for name in classes if _speaks(name, known)]
        if found:
            return found[0] if len(found) == 1 else ""
    return ""


def _speaks(name: str, known: frozenset[str]) -> bool:
    words = {plain(name), *plain(name).replace("-", " ").split()}
    return bool(words & known) and not words & _NEGATING


def known_later(words: Iterable[str]) -> bool:
    """Return whether a column's name (its `name_words`) speaks of what is known only after the diagnosis."""
    said = [plain(word) for word in words]
    pairs = set(itertools.pairwise(said))
    return any(_is_later(word) for word in said) or any(pair in pairs for pair in _PAIRS)


def _is_later(word: str) -> bool:
    if word in _LATER or any(held in word for held in _UNSPACED):
        return True
    return any(word.startswith(stem) or (len(stem) >= _COMPOUND and stem in word) for stem in _STEMS)


def made_by_model(words: Iterable[str]) -> bool:
    """Return whether a column's name speaks of what a model made."""
    return any(plain(word) in _MADE for word in words)


def names_time(words: Iterable[str]) -> bool:
    """Return whether a column's name speaks of a time until something: `os_months`, `survival time`."""
    return any(plain(word) in _TIMES for word in words)


def names_event(words: Iterable[str]) -> bool:
    """Return whether a column's name speaks of what happened at the end of such a time, or of censoring."""
    return any(plain(word) in _EVENTS for word in words)
