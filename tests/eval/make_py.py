#!/usr/bin/env python3
"""Write py_golden.json: what CPython 3.11 computes for own small inputs, for test_py_value.c and test_py_regex.c.

Usage: make_py.py > tests/eval/py_golden.json
"""
import ast
import hashlib
import json
import random
import re
import sys

assert sys.version_info[:2] == (3, 11), "expected values are those of CPython 3.11"

FLAGS = {1: re.I, 2: re.M, 4: re.S, 8: re.X}


def flags_of(n):
    return sum(v for k, v in FLAGS.items() if n & k)


def span(text, m):
    if m is None:
        return None

    def at(i):
        return len(text[:i].encode()) if i >= 0 else -1

    return [[at(m.start(g)), at(m.end(g))] for g in range(m.re.groups + 1)]


def regex_case(pattern, flags, text):
    r = re.compile(pattern, flags_of(flags))
    found = [list(x) if isinstance(x, tuple) else x for x in r.findall(text)]
    return [pattern, flags, text, found, span(text, r.search(text)), span(text, r.match(text))]


REGEX = [
    # answers out of generated text
    (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", 0, "It costs $1,234.50, so 7 cost -3 and 0."),
    (r"#### (\-?[0-9\.\,]+)", 0, "so that is\n#### 1,024\n#### -7."),
    (r"(?<=The answer is )(.*)(?=.)", 0, "The answer is (B). The answer is 12."),
    (r"The answer is (\-?[0-9\.\,]*[0-9]+)", 1, "the ANSWER is 12.50. THE answer IS -3"),
    (r"\(([A-D])\)", 0, "(A) or (B), not (E) but (D"),
    (r"((?<=The answer is )(.*)(?=.)|(?<=the answer is )(.*)(?=.)|(?<=The answer is )(.*))", 0, "the answer is True."),
    (r"\b([A-Z])\b", 0, "A man, B. ÄB É x-Ray C"),
    (r"^\s*(.*?)\s*$", 2, "  one \n two\t\n\n three"),
    # empty matches
    (r"x*", 0, "abxxd"), (r"", 0, "äb"), (r"a|", 0, "aab"), (r"|a", 0, "aab"), (r"(a)|b|", 0, "abc"), (r"\b|a", 0, "a a"),
    (r"(?=(a))", 0, "aaa"), (r"a*?", 0, "aa"), (r"(?<=a)|b", 0, "abab"), (r"^|$", 2, "a\n\nb\n"), (r"$", 0, "a\n"),
    (r"$", 2, "a\n"), (r"^", 2, "a\n"), (r"\Z", 0, "a\n"), (r"a\Z", 0, "a\na"), (r"\Aa", 2, "a\na"), (r"a$", 0, "a\n"),
    # characters
    (r"\s+", 0, "a\x1cb\x1d\x1e\x1fc\u2028d\u3000e\x85f\xa0g\u200bh"), (r"\S+", 0, "a\x1cb\u2003c"),
    (r"[\s]", 0, "\x1f\x20\x0b"), (r"[^\s]", 0, "\x1fq"), (r"[\S]", 0, "\x1f\u2003q"), (r"[\S\s]", 0, "\x1fq"),
    (r"\d+", 0, "12٣४x²½"), (r"\D+", 0, "1a²٣b"), (r"[\D]", 0, "1a٣"), (r"\w+", 0, "naïve_1 ½ ² ٣ é\u0301x ‿ 漢字 ⁀"),
    (r"\W+", 0, "a‿b_c\u0301d !"), (r"[\W]", 0, "a‿b_c\u0301d !"), (r"[^\W\d_]+", 0, "ab1_é٣x"), (r"\b", 0, "e\u0301x ‿y"),
    (r"\B", 0, ""), (r"\B", 0, "ab c"), (r"\b", 0, ""), (r".", 0, "a\n\r\u2028b"), (r".", 4, "a\nb"), (r"[^a]", 0, "a\nb"),
    (r"[]a]+", 0, "]a["), (r"[^]a]+", 0, "]ab["), (r"[a-]+", 0, "a-b"), (r"[-a]+", 0, "a-b"), (r"[a\-z]+", 0, "a-mz"),
    (r"[[:alpha:]]", 0, "a:] l]"), (r"[\]\\]", 0, "]\\"), (r"[\b]", 0, "\b|"), (r"[a&&b]+", 0, "a&b"), (r"[\x41-\u0043]+", 0, "ABCD"),
    (r"\x41\u0042\U00000043\103\0", 0, "ABCC\0"), (r"\n\t\r\f\v\a", 0, "\n\t\r\f\v\a"), (r"\.\*\-\é\ \#\/", 0, ".*-é #/"),
    (r"[äöü]+", 1, "ÄÖü"), (r"straße", 1, "STRAßE"), (r"[^k]", 1, "K\u212ax"), (r"[^\x00-\x7f]+", 0, "aéß漢"),
    # groups, repeats
    (r"(?P<a>\w)(?P<b>\d)?(?P=a)", 0, "a1a bb c2d"), (r"(a)(b)?(c)?", 0, "ab ac a"), (r"(.)\1", 0, "aabbcd"), (r"(a)|(b)\2", 0, "abb"),
    (r"(?:ab)+", 0, "ababa"), (r"(ab)*", 0, "ababa"), (r"(a|ab)(c|bcd)(d*)", 0, "abcd"), (r"a{2}", 0, "aaaaa"), (r"a{2,}", 0, "aaaaa"),
    (r"a{,2}", 0, "aaaaa"), (r"a{1,2}?", 0, "aaaaa"), (r"a{,}", 0, "aab"), (r"a{}", 0, "a{}"), (r"a{x}", 0, "a{x}"), (r"{", 0, "{"),
    (r"a{1", 0, "a{1"), (r"a{ 1}", 0, "a{ 1}"), (r"a++b", 0, "aab"), (r"(?>a+)b", 0, "aab"), (r"a*+a", 0, "aaa"), (r"(?:a|b)*?c", 0, "abc"),
    (r"(?i)AB", 0, "ab"), (r"(?s)a.b", 0, "a\nb"), (r"(?im)^b", 0, "a\nB"), (r"a(?i:B)c", 0, "aBc aBC"), (r"(?i:a(?-i:b))", 0, "Ab AB"),
    (r"(?x) a  b # c" "\n" r"\ c [ #]", 0, "ab c#"), (r" a b ", 8, "ab"), (r"a(?#note)+", 0, "aaa"), (r"(?x:a b) c", 0, "ab c"),
    (r"(<)?a(?(1)>|!)", 0, "<a> a! <a! a>"), (r"(?P<q>')?a(?(q)'|;)", 0, "'a' a;"), (r"(?<!\d)\d{3}(?!\d)", 0, "123 4567 89 012"),
    (r"(?<=ab|cd)e", 0, "abe cde xe"), (r"a|b|", 0, "c"), (r"(?:)", 0, "ab"), (r"()", 0, "ab"), (r"(\d+)(?:\.(\d+))?", 0, "1.5 2"),
    (r"(?P<été>a)(?P=été)", 0, "aa"), (r"(a)\1{2}", 0, "aaaa"), (r"(a)\01", 0, "a\x01"), (r"(a)\101", 0, "aA"),
    (r"(?=a)\w*(?:a|ab)", 0, "_aab"), (r"(?=a)k*(?:a)+?", 0, " aa "), (r"(a|b)*+\d{2}|", 0, "ab1b"), (r"(?>(a)|b)c|", 0, "ac a"),
    (r"\$\{x\}", 0, "${x}"), (r"a|ab|abc", 0, "abc"), (r"\\boxed\{([^}]*)\}", 0, r"so \boxed{42} and \boxed{x}"), ("a\tb", 0, "a\tb"),
]

BAD = [
    "(", ")", "a)", "(a", "[", "[]", "[^]", "[a", "*a", "a**", "a+*", "+", "?", "|*", "(*a)", "^*", r"\b+", "$?", "a{2}{3}", "{1}", "a{3,2}",
    "[z-a]", r"[\w-z]", r"[a-\d]", "\\", r"\1", r"(\1)", r"(a)\2", r"\c", r"\e", r"\h", r"\K", r"\p{L}", r"\Q", r"\R", r"\X", r"\z", r"\G",
    r"[\A]", r"[\8]", r"\x4", r"\u12", r"\U00110000", r"\400", "(?P<a>x)(?P<a>y)", "(?P<1>x)", "(?P<>x)", "(?P<a", "(?P=b)", "(?Pa)", "(?<a>x)",
    "(?", "(?z)", "a(?i)", "(?i", "(?#", "(?(1)a)", "(?(2)a)(b)", "(?(x)a)", "(?(1)a|b|c)(d)", r"(?<=a+)b", r"(?i-i:a", "(?-:a" , "(?&a)", "(?R)", "(?|a)", "(?'a'b)", "(?1)",
]

SUBS = [
    (r"x*", "-", "abxd", 0), (r"(\w)(\d)?", r"<\1|\2>", "a1b", 0), (r"(?P<n>a)", r"[\g<n>\g<0>\g<1>]", "banana", 0), ("a", "b", "aaa", 2),
    (r"\s+", " ", " a \n\t b ", 0), (r"[^\w\s]", "", "Hello, world! (naïve)", 0), (r"\b(a|an|the)\b", " ", "the cat an a theme", 0),
    ("a", r"\n\t\\\.\101\0\07", "a", 0), ("a", r"\-", "a", 0), ("", "-", "äb", 0), (r"(a)|b", r"[\1]", "ab", 0),
    (r"$", "!", "a\n", 0), (r"(.)", r"\g<1>0", "ab", 0), ("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)", r"\11\10\1", "abcdefghijk", 0),
    ("é", "e\u0301", "été", 0), ("[.]", "", "1.2.3", 1), (r"(?<=\d),(?=\d{3})", "", "1,234,567 a,b", 0), ("a", "", "", 0),
]

BAD_TEMPLATES = [("a", r"\1"), ("a", r"\g<x>"), ("a", r"\g<1>"), ("a", r"\gx"), ("a", r"\g<"), ("a", r"\g<>"), ("a", r"\q"), ("a", "\\"), ("a", r"\400"), ("(a)", r"\g<-1>")]


def random_patterns(n):
    rnd = random.Random(5)
    atoms = ["a", "b", "ab", ".", r"\w", r"\d", r"\s", "[ab]", "[^a]", "é", "(a)", "(b|a)", "(?:ab|b)", r"\b", "^", "$", "(?=a)", "(?!b)", "(?<=a)", "1"]
    marks = ["", "", "", "*", "+", "?", "*?", "{2}", "{1,2}", "{,1}"]
    made = []
    while len(made) < n:
        p = "".join(rnd.choice(atoms) + rnd.choice(marks) + rnd.choice(["", "", "", "|"]) for _ in range(rnd.randint(1, 4)))
        text = "".join(rnd.choice("aab1 é\n") for _ in range(rnd.randint(0, 8)))
        try:
            made.append(regex_case(p, rnd.choice([0, 0, 1, 2, 4]), text))
        except re.error:
            continue
    return made


VALUES = [
    None, True, False, 0, -7, 2**62, 1.0, 0.1, -0.0, 1e16, 1e15, 123456789012345680.0, 1e-4, 1e-5, 1.5e300, 5e-324, 3.14, 1e22, 100.0, 2.5e-7, "", "a",
    "it's", 'say "x"', "both ' and \"", "tab\tnl\nbs\\cr\r\b\f\0\x1b\x7f", "é漢😀\u00a0\u200b\u2028\ue000\U000e0001", [], {}, [[]], {"a": {}}, [1, "a", None, True, 2.0],
    {"a": [1, {"b": "c"}], "é": "x'y", "": 1.5}, ["a\nb", "'"], {"k\"": [], "n": {"x": [[], {}]}}, [0.1 + 0.2, 1 / 3, 1e100],
]

LITERALS = [
    "1", "-1", "+1", "- 1", "0", "00", "0x1F", "0o17", "0b101", "0X_ff", "1_000", "1.", ".5", "1e5", "1E-2", "-1.5e+3", "1_0.0_1", "00.5", "09.5", "9223372036854775807", "-9223372036854775808",
    "'a'", '"a"', "'a' 'b' \"c\"", "'''a\nb'''", '"""x"y"""', "r'\\n'", "R'\\''", "u'x'", r"'\n\t\\\'\"\a\b\f\r\v\0\12\x41\u00e9\U0001F600\q'", "'a\\\nb'", "'é漢'", "''", "'' ''", "'''a\r\nb'''",
    "True", "False", "None", "[]", "[1]", "[1,]", "[1, 'a', [2.5, None]]", "()", "(1)", "(1,)", "(1, 2)", "((1))", "1, 2", "1,", "{}", "{'a': 1}", "{'a': [1], \"b\": {'c': (1, 2)},}", "{'a': 1, 'a': 2}",
    " 1", "\t[1]", "[1 ]\n", "[1,\n 2] # end", "[ # one\n1]", "['A', 'B']", "['it\\'s', \"x\"]", "{'a' 'b': 1}", "\n1", "1 # c", "[-1, +2.5]", "['a'\n'b']", "(\n1\n)", "[[[[[[1]]]]]]", "[True,False,None]",
]

BAD_LITERALS = [
    "", " ", "a", "[", "]", "[1", "[1 2]", "[,]", "(,)", "1 2", "[1,,2]", "{'a'}", "{'a':}", "{'a' 1}", "{1: 2}", "{'a': 1 'b': 2}", "'a", "'a\nb'", "'''a", "012", "1__0", "1_", "_1", "0x", "0xg", "1e", "1.e+", "1a", "1j",
    "b'a'", "f'a'", "--1", "-True", "-'a'", "1+2", "1-2", "x=1", "[1] [2]", "'\\x4'", "'\\ud800'", "'\\U00110000'", "'\\N{DASH}'", "{1, 2}", "set()", "dict()", "[*a]", "{**a}", "True1", "truE", "null", "true", "9223372036854775808", "1e999",
    "..", ".", "+", "[1}", "(1]", "1._5", "1\n2", "1_e5", "[1]]", "...", "lambda: 1", "0b2", "0_x1", "'a' b'c'", "[" * 201 + "]" * 201, "((", "'a'1",
]

TEXTS = ["", " ", "a", " a ", "a b", "a  b\tc\nd", "\x1ca\x1fb\u3000", "\u200ba", "é漢😀", "\u2028x\u2029", "12", "1 2", "²³", "½", "٣४", "①", "1a", "௧", "\x85\xa0x\xa0\x85", "a\x0bb\x0cc", "  ", "x" * 70]


def main():
    for p in BAD:
        try:
            re.compile(p)
        except re.error:
            continue
        raise SystemExit(f"{p!r} compiles")
    for p, t in BAD_TEMPLATES:
        try:
            re.sub(p, t, "a")
        except (re.error, IndexError):
            continue
        raise SystemExit(f"{t!r} is a good template")
    out = {
        "regex": [regex_case(*c) for c in REGEX] + random_patterns(300),
        "regex_bad": BAD,
        "sub": [[p, t, s, n, re.sub(p, t, s, count=n)] for p, t, s, n in SUBS],
        "sub_bad": BAD_TEMPLATES,
        "value": [[v, str(v), repr(v), json.dumps(v, ensure_ascii=False), json.dumps(v, indent=4, ensure_ascii=False)] for v in VALUES],
        "literal": [[s, ast.literal_eval(s)] for s in LITERALS],
        "literal_bad": BAD_LITERALS,
        "text": [
            [s, len(s), s.isdigit(), s.strip(), s.lstrip(), s.rstrip(), len(re.split(r"\s+", s)), hashlib.sha256(s.encode()).hexdigest()]
            for s in TEXTS
        ],
    }
    json.dump(out, sys.stdout, indent=0)
    print()


main()
