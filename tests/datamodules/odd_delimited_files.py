"""Odd files of delimited text, and texts of odd encodings."""

# ruff: noqa: E501 -- one file a line

from odd_files import HEAD, OddFile, article, lines, summary, table

from datamodules.sources import Columns, Splits

UNREADABLE = {"unreadable": 1}
BAD = "Köy".encode("cp1254")
_STRAY = f'article\tsummary\n"{article(1)}\t{summary(1)}\n{article(2)}\t{summary(2)}\n'


def csv(what: str, content: str | bytes, given: int, kept: int | None = None, name: str = "a.csv", **more) -> OddFile:
    encoded = content if isinstance(content, bytes) else content.encode()
    return OddFile(what, {name: encoded}, given, given if kept is None else kept, **more)


ENCODINGS = [
    csv("cp1254, named", table(1, 2).encode("cp1254"), 2, options={"encoding": "cp1254"}),
    csv("ISO-8859-9, named", table(1, 2).encode("iso-8859-9"), 2, options={"encoding": "iso-8859-9"}),
    csv(
        "cp1252 with curly quotation marks, named",
        f"{HEAD}“Città” {article(1)},{summary(1)}\n".translate(dict(zip(map(ord, "ğışĞİŞ"), "gisGIS", strict=True))).encode("cp1252"),
        1,
        options={"encoding": "cp1252"},
        first="“Città” " + article(1).translate(dict(zip(map(ord, "ğışĞİŞ"), "gisGIS", strict=True))),
    ),
    csv("cp1254, not named", table(1, 2).encode("cp1254"), 2, 0, message="line 2 has byte 0xf0"),
    csv("JSON lines in cp1254, not named", lines(1, 2).encode("cp1254"), 2, 0, name="a.jsonl", message="cp1254 (gives"),
    csv("JSON lines in cp1254, named", lines(1).encode("cp1254"), 1, name="a.jsonl", options={"encoding": "cp1254"}),
    csv("header that is not UTF-8", "article,summary,köy\n".encode("cp1254"), 0, message="line 1 has byte 0xf6"),
    csv("one row of three that is not UTF-8", table(1, 2).encode() + BAD + b",x\n", 3, 2, counted=UNREADABLE),
    csv("a JSON line that is not UTF-8", lines(1, 2).encode() + b'{"article": "\xf6"}\n', 3, 2, name="a.jsonl", counted=UNREADABLE),
    csv("UTF-8 with a byte order mark", table(1).encode("utf-8-sig"), 1),
    csv("UTF-16 with a byte order mark", table(1, 2).encode("utf-16"), 2),
    csv("UTF-16, big end first, without a mark", table(1, 2).encode("utf-16-be"), 2),
    csv("UTF-16, little end first, without a mark", lines(1, 2).encode("utf-16-le"), 2, name="a.jsonl"),
    csv("UTF-32 with a byte order mark", table(1).encode("utf-32"), 1),
    csv("UTF-16 cut inside a character", table(1, 2).encode("utf-16")[:-3] + b"\n\0\xd8", 2, 1, counted=UNREADABLE),
    csv("an encoding with that name does not exist", table(1), 1, 0, options={"encoding": "windows-turkish"}, message="'windows-turkish' is no encoding"),
    csv("UTF-8, named UTF-16", table(1), 1, 0, options={"encoding": "utf-16"}, message="Name the encoding it has"),
    csv("an encoding that is none of text", table(1), 1, 0, options={"encoding": "hex"}, message="'hex' is no encoding"),
    csv("NUL in an article", f"{table(1)}kar\0yağdı bu sabah,kar\n", 2, 1, counted={"not_utf8": 1}),
    csv("NUL in a JSON line's article", lines(1) + '{"article": "kar\\u0000 yağdı", "summary": "kar"}\n', 2, 1, name="a.jsonl", counted={"not_utf8": 1}),
]  # fmt: skip

DELIMITED = [
    csv("semicolons", table(1, 2, mark=";"), 2),
    csv("semicolons, and commas in the header's other names", f"article;summary;a,b,c\n{article(1)};{summary(1)};x\n", 1),
    csv("tabs in a .csv", table(1, 2, mark="\t"), 2),
    csv("pipes", table(1, 2, mark="|"), 2),
    csv("commas in a .tsv", table(1, 2), 2, name="a.tsv"),
    csv("Excel's line `sep=;`", "sep=;\n" + table(1, 2, mark=";"), 2),
    csv("all cells in quotation marks, semicolons", table(1, 2, mark=";", quote='"'), 2),
    csv("other columns than are configured", f"metin;özet\n{article(1)};{summary(1)}\n", 1, 0, message="It has: metin, özet"),
    csv("lines that end in carriage returns only", table(1, 2).replace("\n", "\r"), 2),
    csv("lines that end in carriage return and line feed", table(1, 2).replace("\n", "\r\n"), 2),
    csv("blank lines above the header and between rows", "\n\n" + table(1, 2).replace("\n", "\n\n"), 2),
    csv("spaces around the header's names", table(1, head=" article , summary \n"), 1),
    csv("stray mark before two TSV fields", _STRAY + f'"{article(3)}\t{summary(3)}\n', 3, name="a.tsv", first='"' + article(1)),
    csv("stray mark before one TSV field and after another", _STRAY + f'{article(3)}"\t{summary(3)}\n', 3, name="a.tsv", first='"' + article(1)),
    csv("stray mark before a field separated by pipes, and after another", (_STRAY + f'{article(3)}"\t{summary(3)}\n').replace("\t", "|"), 3, first='"' + article(1)),
    csv("mark that is never closed", table(1) + f'"{article(2)},{summary(2)}\n{article(3)},{summary(3)}\n', 3),
    csv("mark that is never closed, in the last row", table(1) + f'"{article(2)},{summary(2)}', 2),
    csv("mark that is never closed, and a comma too many", table(1) + f'"a, b,{summary(2)}\n{article(3)},{summary(3)}\n', 3, 2, counted=UNREADABLE),
    csv("unescaped marks in a cell", table(1) + f'"Vali "kar" dedi ve {article(2)}",{summary(2)}\n', 2),
    csv("cell of three lines in marks", f'{HEAD}"{article(1)}\nsecond\nthird",{summary(1)}\n', 1, first=article(1) + "\nsecond\nthird"),
    csv("cell of two lines in marks, a comma in the first", f'{HEAD}"Kar, {article(1)}\nsecond",{summary(1)}\n', 1, first=f"Kar, {article(1)}\nsecond"),
    csv("a comma too many", table(1) + "a,b,c\n", 2, 1, counted=UNREADABLE),
    csv("a cell too few", table(1) + "only an article\n", 2, 1, counted={"empty_summary": 1}),
    csv("header repeated between rows", table(1) + table(2), 3, 2, counted={"repeated_header": 1}),
    csv("a needed column twice", "article,summary,article\na,b,c\n", 1, 0, message="2 columns 'article' (number 1 and 3)"),
    csv("another column twice", f"article,summary,x,x\n{article(1)},{summary(1)},1,2\n", 1),
    csv("header only", HEAD, 0, message="no rows in split"),
    csv("nothing at all", "", 0, message="no rows in split"),
    csv("cell of 200,000 characters", f"{HEAD}{'kar ' * 50_000},kar\n", 1, first="kar " * 50_000),
    csv(
        "test rows only, of a file with all splits",
        "article,summary,split\n" + "".join(f"{article(n)},{summary(n)},{split}\n" for n, split in ((1, "test"), (2, "train"), (3, "dev"))),
        3, 1, counted={"other_split": 2},
        options={"columns": Columns(split="split"), "splits": Splits(None, None, "test")},
    ),
    csv(
        "split column 1.0 and 0.0, as pandas writes it",
        f"article,summary,split\n{article(1)},{summary(1)},1.0\n{article(2)},{summary(2)},0.0\n", 2,
        options={"columns": Columns(split="split"), "splits": Splits("1", "0", None)},
    ),
    csv(
        "split column true and False",
        f"article,summary,split\n{article(1)},{summary(1)},true\n{article(2)},{summary(2)},False\n", 2,
        options={"columns": Columns(split="split"), "splits": Splits("true", "false", None)},
    ),
]  # fmt: skip
