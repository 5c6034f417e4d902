"""The language of the words that a person reads.

Templates write `{% trans %}…{% endtrans %}`; Python writes `gettext("…")` where a sentence is used, and `mark("…")`
where it is only declared, to be given to `gettext` later. English is what stands in the source.
"""


def gettext(message: str, **values: object) -> str:
    """The message in the reader's language; `%(name)s` in it are the values."""
    return message % values if values else message


def ngettext(singular: str, plural: str, number: int, **values: object) -> str:
    """As `gettext`, in the form that goes with a number, which `%(num)s` shows."""
    return gettext(singular if number == 1 else plural, num=number, **values)


def mark(message: str) -> str:
    """The message as it stands: a sentence that is translated where it is shown."""
    return message
