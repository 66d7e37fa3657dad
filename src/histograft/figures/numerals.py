"""Single numbers as people read them, by one rule for tables, sentences, figures and terminal."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

NOTHING = "–"
# Tables keep ten significant digits; a number and what a table holds of it must read alike.
SURE_DIGITS = 9


def fixed(number: float, decimals: int) -> str:
    """Print a number with so many decimals, halves away from zero.

    What a computer holds of 0.15 lies just below it or just above, and differs by the way it was
    computed; so the number is taken at nine significant digits first.

    Parameters
    ----------
    number : float
        Any number, already in its unit (percent, not a share).
    decimals : int
        At least 0.

    Returns
    -------
    str
        With a hyphen as minus sign, and none before zero.

    Examples
    --------
    >>> fixed(3.75, 1), fixed(100 * (0.9 - 0.8625), 1), fixed(-0.25, 1), fixed(-0.001, 2)
    ('3.8', '3.8', '-0.3', '0.00')
    """
    if not abs(number) < 1e15:  # nor is it a number that anybody reads
        return f"{number:.{decimals}f}"
    sure = Decimal(f"{number:.{SURE_DIGITS}g}")
    rounded = sure.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return f"{rounded if rounded else abs(rounded):f}"


def format_p(p: float | None) -> str:
    """Print a p value.

    Parameters
    ----------
    p : float or None
        0 to 1; NaN and None stand for no test.

    Returns
    -------
    str
        Two significant digits, three decimals at most; "<0.001" below that; a dash for none.

    Examples
    --------
    >>> [format_p(p) for p in (0.0000021, 0.0123, 0.05, 0.42, 1.0, None)]
    ['<0.001', '0.012', '0.050', '0.42', '1.00', '–']
    """
    if p is None or math.isnan(p):
        return NOTHING
    if p < 0.001:
        return "<0.001"
    return fixed(p, 3) if p < 0.0995 else fixed(p, 2)


def p_phrase(p: float | None) -> str:
    """Print a p value within a sentence.

    Examples
    --------
    >>> p_phrase(2e-9), p_phrase(0.0421), p_phrase(None)
    ('p < 0.001', 'p = 0.042', 'no p value')
    """
    text = format_p(p)
    if text == NOTHING:
        return "no p value"
    return f"p < {text[1:]}" if text[0] == "<" else f"p = {text}"


def percent(share: float) -> str:
    """Print a share of 1 in percent, with one decimal and without the sign.

    Examples
    --------
    >>> percent(0.93947), percent(1.0), percent(float("nan"))
    ('93.9', '100.0', '–')
    """
    return NOTHING if math.isnan(share) else fixed(100 * share, 1)


def points(difference: float) -> str:
    """Print a difference of two shares in percentage points, with its sign.

    Examples
    --------
    >>> points(0.0702), points(-0.039), points(-0.0001), points(float("nan"))
    ('+7.0', '−3.9', '0.0', '–')
    """
    return signed(100 * difference, 1)


def signed(number: float, decimals: int) -> str:
    """Print a number with its sign; what rounds to zero has none.

    Examples
    --------
    >>> signed(0.7, 2), signed(-0.012, 2), signed(-0.001, 2)
    ('+0.70', '−0.01', '0.00')
    """
    if math.isnan(number):
        return NOTHING
    text = fixed(number, decimals)
    if text.startswith("-"):
        return f"−{text[1:]}"
    return f"+{text}" if any(letter in "123456789" for letter in text) else text


def plain(number: float) -> str:
    """Print a number with two decimals.

    Examples
    --------
    >>> plain(0.856), plain(-0.05), plain(-0.001)
    ('0.86', '−0.05', '0.00')
    """
    return signed(number, 2).removeprefix("+")


def percent_range(low: float, high: float) -> str:
    """Print the ends of an interval of a share in percent.

    Examples
    --------
    >>> percent_range(0.92, 0.956)
    '92.0 to 95.6'
    """
    return _range(percent(low), percent(high))


def points_range(low: float, high: float) -> str:
    """Print the ends of an interval of a difference in percentage points.

    Examples
    --------
    >>> points_range(-0.099, 0.021)
    '−9.9 to +2.1'
    >>> points_range(float("nan"), float("nan"))
    '–'
    """
    return _range(points(low), points(high))


def _range(low: str, high: str) -> str:
    return low if low == high == NOTHING else f"{low} to {high}"
