#!/usr/bin/env python3
"""Render small templates with Jinja2 itself and write what comes out to golden.json.

    python3 tests/jinja/make_golden.py            (needs jinja2 3.1)

Modes: "chat" is the environment transformers builds for chat templates, "task" the one lm-evaluation-harness builds for
task files, "plain" Jinja2 with the options named in the case. An error is kept as the message where Jinja2 wrote it
(undefined values, mistakes in the template), else as the empty text: only that it fails is compared."""
import copy
import datetime
import json
import os
import re

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2025, 1, 15, 12, 0, 0)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def chat_env():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: NOW.strftime(f)
    return env


def regex_replace(string, pattern, repl, count=0):
    return re.sub(pattern, repl, string, count=count)


def task_env():
    env = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    env.filters["regex_replace"] = regex_replace
    return env


CASES = []
CONTEXTS = []


def name_of(context):
    """Its position among the contexts, which are written once."""
    if context not in CONTEXTS:
        CONTEXTS.append(context)
    return CONTEXTS.index(context)



def add(mode, template, context=None, **options):
    env = chat_env() if mode == "chat" else task_env() if mode == "task" else jinja2.Environment(**options)
    case = {"mode": mode, **options, "template": template, "context": name_of(context or {})}
    try:
        case["expected"] = env.from_string(template).render(**copy.deepcopy(context or {}))
        if re.search(" at 0x[0-9a-f]{8}", case["expected"]) or "<function" in case["expected"]:
            return
    except (jinja2.UndefinedError, jinja2.exceptions.TemplateError) as e:
        syntax = isinstance(e, jinja2.TemplateSyntaxError)
        case["error"] = "" if syntax else str(e)
    except Exception:
        case["error"] = ""
    CASES.append(case)


DATA = {
    "n": 3, "neg": -7, "f": 2.5, "s": "Hello World", "e": "", "u": "Grüße, Straße ß 日本 🙂", "yes": True, "no": False,
    "nil": None, "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "nested": [[1, 2], [3, [4]]],
    "d": {"b": 1, "a": 2, "C": 3}, "items_d": {"items": "key", "x": {"y": [10, 20]}},
    "users": [{"name": "Bo", "age": 30, "t": {"k": 1}}, {"name": "al", "age": 25, "t": {"k": 2}},
              {"name": "Cy", "age": 30, "t": {"k": 1}}],
    "lines": "one\ntwo\n\nthree\n", "q": "it's \"q\" \\ \t\x07é\u200b",
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo", "tool_calls": []}],
}


def each(mode, expressions):
    for x in expressions:
        add(mode, "{{ " + x + " }}", DATA)


def whitespace():
    options = [dict(trim_blocks=t, lstrip_blocks=l, keep_trailing_newline=k)
               for t in (False, True) for l in (False, True) for k in (False, True)]
    templates = [
        "a\n  {% if true %}\n  b\n  {% endif %}\n  c\n",
        "a  {%- if true -%}  b  {%- endif -%}  c\n\n",
        "a\n  {%+ if true +%}\n  b\n  {%+ endif +%}\n c",
        "  {# comment #}\n x {# c -#}  \n y {#- c #} z\n",
        "  {#+ comment +#}\n x\n",
        "\t{{ 1 }}\n\t{{- 2 -}}\n\t3 {{+ 4 }}\n",
        "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\n",
        "  {% raw %}\n {{ x }} {% if %}\n  {% endraw %}\n end\n",
        "a {%- raw -%} {{ y }} {%- endraw -%} b",
        "  {%+ raw %} z {%+ endraw %} \n",
        "{% raw %}{% endraw %}x\n\n\n",
        "\r\nA\r\nB\rC\n {% set x = 'a\r\nb' %}{{ x }}\r\n",
        "x {% if true %} {% if true -%}\n\n y {% endif %}\n{% endif %} z",
        "{{ '{{ }}' }}{{ \"{% %}\" }}",
        "{%if true%}a{%else%}b{%endif%}",
        "no tags at all\n",
        "\n",
        "",
        "{", "{ {", "{{ 1 }}}", "%}", "#} {# a {# b #}", "{%- set x = 1 %}\n  {%- set y = 2 -%}\n {{ x }}",
        "   {% set a = 1 %}   {% set b = 2 %}   x\n   {{ a }}   {% set c = 3 %}\n",
        "line\u00a0{%- if true %} x{% endif -%}\u2003 y",
        "{% if true %}a{% endif +%}\n b {# x +#}\n c",
        "{{ 'a\\nb\\x41\\u00e9\\101\\q\\'' }}{{ \"t\\tx\\\\\" 'adj' \"acent\" }}",
        "{{ 'line\\\nend' }}",
    ]
    for t in templates:
        for o in options:
            add("plain", t, {}, **o)
        add("chat", t)
        add("task", t)


def expressions():
    each("chat", [
        "1", "1_000", "0x1F", "0o17", "0b101", "1.5e3", "1e-7", "1.0", "100000000000000000000.0", "1e16", "123456789012345.6",
        "0.1+0.2", "1/3", "7//2", "-7//2", "7//-2", "7%3", "-7%3", "7%-3", "7.5%2", "-7.5%2", "7.5//2", "-7.5//2.0",
        "2**10", "2**-1", "2**3**2", "-2**2", "2**0.5", "n*f", "n/2", "n//0", "n%0", "1.0/0", "1//0.0", "true+1", "true/2",
        "s+'!'", "s*2", "2*s", "[1]*3", "[1]+[2]", "(1,)+(2,3)", "s+1", "1+s", "[1]+(1,)", "nil+1", "s-1", "'%s-%05d' % ('a', 42)",
        "'a' ~ 1 ~ none ~ 1.0 ~ [1,'x']", "1 ~ 2", "-f", "+n", "-s", "not n", "not not e", "- -3", "+-3",
        "1 < 2 < 3", "1 < 3 < 2", "3 > 2 >= 2 != 1", "1 == 1.0", "1 == true", "'a' < 'b'", "'a' < 1", "[1,2] < [1,3]", "(1,) < (1,0)",
        "none == none", "none < 1", "[1] == [1.0]", "{'a':1} == {'a':1.0}", "s == 'Hello World'", "'Z' < 'a'", "1 in l", "9 in l", "9 not in l",
        "'ell' in s", "'a' in d", "'zz' not in d", "1 in 1", "1 in s", "'' in ''", "not 1 in l", "n in range(5)", "nil in [none]",
        "n and s", "e and s", "e or s", "e or nil or 0", "nil and x", "1 if n else 2", "1 if e", "(1 if e) is defined", "1 if 0 else 2 if 0 else 3",
        "x if x is defined else 'no'", "'a' if true else x.y", "l[0]", "l[-1]", "l[5]", "l['a']", "s[0]", "s[-1]", "s[99]", "u[7]", "u[-1]", "u[14]",
        "l[1:]", "l[:-1]", "l[::-1]", "l[::2]", "l[5:]", "l[-2:]", "l[2:0:-1]", "s[2:5]", "s[::-1]", "s[::3]", "u[::-1]", "u[5:9]", "u[-3:]",
        "s[10:2:-3]", "s[-100:100]", "l[none:2]", "l[::0]", "l['a':]", "(1,2,3)[1:]", "range(10)[2:8:3]|list", "range(5)[-1]",
        "range(3)", "range(1,10,3)|list", "range(5,0,-2)|list", "range(0)|list", "range(1,2,0)", "range('a')", "range(200000)",
        "d.a", "d['a']", "d.zz", "d['zz']", "d.zz.y", "d.items()|list", "items_d.items", "items_d['items']", "items_d.x.y[1]", "items_d.x.y.1", "items_d['x']['y'][0]",
        "d.keys()", "d.values()|list", "d.items()", "d.get('a')", "d.get('q')", "d.get('q', 5)", "d.keys()|list|join(',')", "'a' in d.keys()", "d|length", "d.copy()", "d.update({'x':1})", "d.pop('a')", "l.append(1)",
        "l.index(1)", "l.count(1)", "l.index(99)", "(1,2).index(2)", "l.copy()", "l.foo", "l.foo()", "s.foo()", "n.foo", "nil.foo", "nil['x']", "x", "x.y", "x['y']", "x()", "x+1", "x == y", "x == 1", "x != y", "x < 1", "x in l", "1 in x", "x|length", "x|list", "x|join",
        "x is defined", "x.y is defined", "d.q is defined", "d.q.r is defined", "nil is none", "not x", "x or 'd'", "[x]", "{'a': x}", "x ~ 'z'", "x[0]", "x[1:]", "-x", "x|upper", "x|int", "x|tojson", "x|default('D')", "x|first", "x is iterable", "x is sequence", "x is string", "x is callable",
        "(1,)", "()", "(1,2)", "1,2", "1,", "[1,[2,(3,)],{'a':none}]", "{}", "[]", "{'a':1,'b':[true,false,none]}", "{1:2, 1.0:3, true:4}", "{(1,2):3}", "{[1]:2}", "[1,2,]", "{'a':1,}",
        "q", "[q]", "[e]", "[\"it's\"]", "['\"']", "['both\\'\"']", "[u]", "[1.0, 1e100, 1e-5, 0.0001, -0.0, 123456.789]", "[true, none]", "['\\n\\r\\t\\0\\x7f\\\\']",
        "'abc'.upper().lower().title()", "[1,2]|length", "true", "True", "none", "None", "false", "1.5.is_integer", "'a'.b.c", "loop", "l[0]|string|length",
        "'a' 'b'", "1 if true else 2 ~ 'x'", "1 + 2 * 3 - 4 / 2", "(1 + 2) * 3", "7 - 3 - 2", "100 / 10 / 2", "1 ~ 2 + 3", "1 + 2 ~ 3", "'a' ~ 'b' * 2", "n is odd and l|length == 3", "not n is odd",
        "s is string and s|length > 3", "n == 3 and not no or yes", "-n|abs", "(-n)|abs", "n|float + 1", "2 * n|float", "f|int ** 2",
    ])
    for x in ["x", "x.y", "x == 1", "1 == x", "not x", "x or 1", "x and 1", "x in l", "1 in x", "x in []", "[x]", "x ~ 'a'", "x|default('d')", "x is defined", "x is undefined",
              "x is none", "x is string", "x is mapping", "x is sequence", "x is iterable", "x is odd", "x is eq 1", "x|length", "x|list", "x|join", "x|upper", "x|int", "x|tojson", "d.zz", "d.zz is defined",
              "d['zz']|default(1)", "1 if e", "1 if e else 2", "{x: 1}", "x is sameas none", "x is number", "l[9]", "l|first", "[]|first", "x if x is defined", "x|d(x2)", "x is callable", "x[0:1]", "[x, 1]|length", "[x] == [1]", "x|string"]:
        add("task", "{{ " + x + " }}", DATA)
    for x in ["<__class__", "{{ s.__class__ }}", "{{ s.__class__() }}", "{{ s.__len__ }}", "{{ s|attr('__class__') }}", "{{ l.append }}", "{{ l.pop() }}"]:
        add("chat", x, DATA)
    for x in ["{% set a = [1] %}{{ a.append(2) }}{{ a }}", "{% set a = [3,1,2] %}{{ a.sort() }}{{ a.reverse() }}{{ a }}{{ a.pop() }}{{ a.pop(0) }}{{ a }}",
              "{% set a = [1,2,3] %}{{ a.insert(1, 9) }}{{ a.remove(3) }}{{ a.extend([7,8]) }}{{ a }}{{ a.clear() }}{{ a }}",
              "{% set a = {'x':1} %}{{ a.update({'y':2}) }}{{ a.update(z=3) }}{{ a.setdefault('x', 5) }}{{ a.setdefault('w', 6) }}{{ a.pop('y') }}{{ a.pop('q', 0) }}{{ a }}{{ a.popitem() }}{{ a }}{{ a.clear() }}{{ a }}",
              "{% set a = {} %}{{ a.pop('x') }}", "{{ [].pop() }}", "{{ [1].remove(2) }}", "{% set a = [1,2,3,4] %}{% for x in a %}{{ x }}{% if x == 1 %}{{ a.append(9) or '' }}{% endif %}{% endfor %}",
              "{{ d.update([('k', 1)]) or d }}", "{% set t = 'T' %}{{ t }}{{ range(3)|list }}", "{{ dict(a=1, **{'b': 2}) }}", "{{ dict([('a', 1)], b=2) }}", "{{ dict({'z': 1}) }}"]:
        add("task", x, DATA)


def methods():
    each("chat", [
        "'  a b '.strip()", "'xxaxx'.strip('x')", "'xyaxy'.lstrip('yx')", "'abc'.rstrip('cb')", "'  '.strip()", "u.strip('G')", "'a'.strip(none)", "'a'.strip(1)",
        "'a,b,c'.split(',')", "'a,b,c'.split(',', 1)", "'a,b,c'.rsplit(',', 1)", "' a  b '.split()", "' a  b c '.split(none, 1)", "' a  b c '.rsplit(none, 1)", "' a b '.rsplit()", "'abc'.split('')", "'abc'.split(',')", "''.split()", "''.split(',')", "'a--b'.split('-')", "s.split(maxsplit=1, sep='l')", "s.split(sep='o')",
        "lines.splitlines()", "lines.splitlines(true)", "'a\\r\\nb\\rc\\x0bd\\x85e'.splitlines()", "''.splitlines()", "'a=b=c'.partition('=')", "'a=b=c'.rpartition('=')", "'abc'.partition('=')", "'abc'.rpartition('=')",
        "s.startswith('Hell')", "s.startswith(('x','He'))", "s.startswith('ell', 1)", "s.endswith('ld')", "s.endswith(('ld','x'))", "s.endswith('lo', 0, 5)", "s.startswith(1)", "u.startswith('ü', 2)",
        "s.upper()", "u.upper()", "s.lower()", "u.lower()", "'hello wORLD it\\'s'.title()", "'hELLO World'.capitalize()", "'aBc'.swapcase()", "'ß'.capitalize()", "''.capitalize()",
        "s.replace('l', 'L')", "s.replace('l', 'L', 1)", "s.replace('', '-')", "'abc'.replace('', '-', 2)", "s.replace('zz', 'y')", "s.replace('o', '')", "u.replace('ß', 'ss')", "s.replace(1, 2)",
        "s.find('o')", "s.find('o', 5)", "s.find('zz')", "s.rfind('o')", "u.find('日')", "s.index('W')", "s.index('zz')", "s.count('l')", "s.count('')", "s.count('l', 4)", "s.find('', 99)", "s.rfind('')", "s.rindex('l')",
        "','.join(['a','b'])", "','.join('abc')", "','.join([1])", "''.join([])", "'-'.join(d)", "'{} {}'.format(1, 'a')", "'{0}{1}{0}'.format('a','b')", "'{a}-{b}'.format(a=1, b=none)", "'{{}} {}'.format(1)", "'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a','b','c','d')", "'{:05d} {:+d} {:x} {:#x} {:b} {:,}'.format(42, 42, 255, 255, 5, 1234567)", "'{:.2f} {:8.3f} {:e} {:g} {:%} {:.1%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25, 0.125)", "'{!r} {!s}'.format('a', 'b')", "'{x[0]} {y.a}'.format(x=l, y=d)", "'{:{w}}|'.format('a', w=4)", "'{} {0}'.format(1)", "'{2}'.format(1)", "'{'.format()", "'}'.format()", "'{:d}'.format('a')", "'{:s}'.format(1)", "'{}'.format(none)", "'{:5}|{:5}'.format(1, 1.5)", "'{:,.2f}'.format(1234567.891)", "'{:03}'.format(7)", "'{:.3}'.format('abcdef')", "'{:.3}'.format(2.0)", "'{:c}'.format(65)", "'{:c}|{:5}|{}'.format(26085, true, true)", "'{a}'.format_map({'a': 5})",
        "'123'.isdigit()", "'12a'.isdigit()", "''.isdigit()", "'²'.isdigit()", "'²'.isdecimal()", "'½'.isnumeric()", "'abc'.isalpha()", "'日本'.isalpha()", "'a1'.isalnum()", "' \\t'.isspace()", "'abc'.islower()", "'a1b'.islower()", "'ABC'.isupper()", "'1'.isupper()", "'Hello World'.istitle()", "'hello'.istitle()", "'a_1'.isidentifier()", "'1a'.isidentifier()", "'abc'.isascii()", "u.isascii()", "q.isprintable()",
        "'prefix-x'.removeprefix('prefix-')", "'x.txt'.removesuffix('.txt')", "'x'.removeprefix('y')", "'42'.zfill(5)", "'-42'.zfill(5)", "'a'.ljust(4,'.')", "'a'.rjust(4)", "'a'.center(4,'*')", "'ab'.center(5)", "'abc'.center(6)", "'a\\tb'.expandtabs(4)", "'a'.ljust(4,'..')", "s.upper(1)", "s.join()", "s.replace('a')",
        "'%d %i %s %r %x %X %o %e %.3f %g %c %%' % (1, 2, 'a', 'b', 255, 255, 8, 1234.5, 2.0, 0.1, 'z')", "'%(a)s %(b)05.1f' % {'a': 1, 'b': 2.25}", "'%5d|%-5d|%+d|% d|%05d' % (1, 2, 3, 4, 5)", "'%s' % (1, 2)", "'%s %s' % 1", "'%d' % 'a'", "'%d' % 1.9", "'%q' % 1", "'%' % 1", "'%s' % [1]", "'%s' % none", "'a' % 1", "'%*d' % (5, 3)", "'%-*d|' % (5, 3)", "'%.2s' % 'abc'", "'%10.2s|' % 'abc'", "'%#x' % 255", "'%.5d' % 42", "'%5s' % u", "'%s' % x",
    ])


def filters():
    each("chat", [
        "neg|abs", "(-2.5)|abs", "s|abs", "d|attr('a')", "s|attr('upper')|string|length > 0", "[1,2,3,4,5]|batch(2)|list", "[1,2,3]|batch(2,'-')|list", "s|capitalize", "'x'|center(5)", "s|count", "x|d", "x|d(1)", "e|d(1)", "e|d(1,true)", "e|default(default_value=2, boolean=true)", "nil|d('x')",
        "d|dictsort", "d|dictsort(true)", "d|dictsort(false,'value')", "d|dictsort(reverse=true)", "d|dictsort(by='value')", "d|dictsort(by='z')", "l|dictsort", "'<a href=\"x\">&\\'</a>'|e", "'<'|escape", "1|e", "'<'|forceescape", "1000|filesizeformat", "1|filesizeformat", "1234567|filesizeformat", "1234567|filesizeformat(true)", "500|filesizeformat",
        "l|first", "[]|first", "s|first", "d|first", "'1.5'|float", "'x'|float", "'x'|float(1.5)", "'1e3'|float", "' 2 '|float", "'1_0'|float", "n|float", "nil|float", "'inf'|float", "'%s %s'|format('a', 1)", "'%(a)s'|format(a=2)", "'%s'|format(1,2)",
        "users|groupby('age')", "users|groupby('t.k')|list|length", "users|groupby('zz', default='none')|map('first')|list", "words|groupby(0)",
        "lines|indent", "lines|indent(2, true)", "lines|indent('> ', true, true)", "lines|indent(width=3, blank=true)", "'a'|indent", "e|indent(2,true)", "n|indent",
        "'42'|int", "'x'|int", "'x'|int(5)", "'3.9'|int", "f|int", "'0x1f'|int(base=16)", "'ff'|int(0, 16)", "'0b11'|int(0,2)", "' 7 '|int", "'1_000'|int", "nil|int", "yes|int", "'-5'|int", "[]|int", "'inf'|int", "'1e3'|int", "'0x1f'|int", "'0b11'|int(0, 0)",
        "d|items|list", "x|items|list", "l|items|list", "l|join", "l|join(', ')", "users|join(',', attribute='name')", "s|join('-')", "d|join('+')", "[1,none,'a']|join('|')", "n|join", "l|last", "[]|last", "s|last", "d|last", "range(4)|last", "l|map('string')|last", "l|length", "n|length", "u|length", "nil|length", "s|list", "d|list", "n|list", "s|lower", "n|lower",
        "users|map(attribute='name')|list", "users|map(attribute='t.k')|list", "users|map(attribute='zz', default='-')|list", "users|map(attribute='zz')|list", "words|map('upper')|list", "words|map('replace','a','X')|join", "l|map('nofilter')|list", "l|map|list", "nested|map('first')|list", "nested|map(attribute=0)|list", "words|map('upper')|length", "[]|map('upper')|list", "x|map('upper')|list", "nil|map('upper')|list", "l|map('string')|map('int')|sum",
        "l|max", "l|min", "words|max", "words|min", "words|max(true)", "users|max(attribute='age')", "users|min(attribute='age')", "[]|max", "[1,'a']|max", "d|pprint", "l|pprint", "s|pprint", "l|reject('odd')|list", "l|reject|list", "[0,1,'',none]|select|list", "l|select('gt', 1)|list", "l|select('>', 1)|list", "l|select('odd')|list", "l|select('in', [1,2])|list", "words|select('equalto','A')|list", "l|select('nope')|list", "users|selectattr('age','equalto',30)|map(attribute='name')|list", "users|selectattr('zz')|list", "users|selectattr('name')|list|length", "users|rejectattr('age','lt',30)|map(attribute='name')|join(',')", "users|selectattr('t.k','eq',1)|list|length", "messages|selectattr('tool_calls','defined')|list|length", "messages|rejectattr('tool_calls','defined')|list", "users|selectattr", "users|selectattr('name','in',['Bo'])|first",
        "s|replace('o','0')", "s|replace('o','0',1)", "s|replace('l', 1)", "n|replace('3','4')", "l|reverse|list", "s|reverse", "range(3)|reverse|list", "n|reverse", "d|reverse|list", "2.5|round", "3.5|round", "2.567|round(2)", "2.567|round(1,'floor')", "2.512|round(1,'ceil')", "n|round", "1234|round(-2)", "1250|round(-2)", "1350|round(-2)", "-1250|round(-2)", "1234.5|round(-2)", "2.675|round(2)", "0.5|round", "1.5|round|int", "s|round", "2.5|round(method='x')", "7|round(1,'ceil')", "'<b>'|safe",
        "[1,2,3,4,5,6,7]|slice(3)|list", "[1,2,3,4,5]|slice(2,'x')|list", "[]|slice(2)|list", "l|slice(0)|list", "l|sort", "l|sort(reverse=true)", "words|sort", "words|sort(case_sensitive=true)", "users|sort(attribute='name')|map(attribute='name')|list", "users|sort(attribute='age,name')|map(attribute='name')|list", "users|sort(attribute='age', reverse=true)|map(attribute='name')|list", "d|sort", "s|sort|join", "[1,'a']|sort", "[[2,1],[1,2]]|sort", "[none,1]|sort",
        "n|string", "l|string", "nil|string", "'<p>a  <b>b</b>\\n c</p><!-- x -->&lt;'|striptags", "l|sum", "users|sum(attribute='age')", "[]|sum", "[1.5,2]|sum", "l|sum(start=10)", "['a']|sum", "[[1],[2]]|sum(start=[])", "'hello wORLD-foo (bar) it\\'s'|title", "u|title", "'a_b c.d'|title", "'  x '|trim", "'xxaxx'|trim('x')", "n|trim", "'foo bar baz qux'|truncate(9)", "'foo bar baz qux'|truncate(9,true)", "'foo bar baz qux'|truncate(11)", "'foo bar baz qux'|truncate(11,false,'...',0)", "'foo bar baz qux'|truncate(9,true,'!!')", "s|truncate(2)", "'a'*300|truncate", "('ab '*100)|truncate", "('ab '*100)|truncate(length=20, end='~', leeway=0)",
        "words|unique|list", "words|unique(true)|list", "[1,1.0,true,2]|unique|list", "users|unique(attribute='age')|map(attribute='name')|list", "s|upper", "nil|upper", "'a b&c/d?é'|urlencode", "{'a b':'c/d','e':1}|urlencode", "[('x',1)]|urlencode", "n|urlencode", "'Hello, big world! it-is'|wordcount", "e|wordcount", "'The quick brown fox jumps'|wordwrap(10)", "'aaaaaaaaaaaaaaa bb'|wordwrap(5)", "'aaaaaaaaaaaaaaa bb'|wordwrap(5,false)", "'well-known thing here'|wordwrap(6)", "'well-known thing'|wordwrap(6, break_on_hyphens=false)", "lines|wordwrap(3)", "'a b c d'|wordwrap(3, wrapstring='|')", "{'a':1,'b':none,'c':'<'}|xmlattr", "{'a':1}|xmlattr(false)",
        "d|tojson", "users|tojson", "nested|tojson(indent=2)", "d|tojson(indent=4)", "[]|tojson(indent=2)", "{'a':[],'b':{}}|tojson(indent=1)", "u|tojson", "u|tojson(ensure_ascii=true)", "q|tojson", "d|tojson(sort_keys=true)", "d|tojson(separators=(',',':'))", "[1.0,1e20,true,none,'<>&\\'']|tojson", "{1:2,none:3,true:4,1.5:5}|tojson", "(1,2)|tojson", "{(1,2):1}|tojson", "range(2)|tojson", "l|map('string')|tojson", "f|tojson", "nil|tojson", "d|tojson(indent='\\t')", "users|tojson(true, 1)", "l|tojson(nope=1)",
        "l|nope", "l|first|nope", "n is nope", "s|upper(1)", "s|replace('a')", "s|center(width=13)|length",
    ])
    for x in ["d|tojson", "'<>&\\''|tojson", "u|tojson", "nested|tojson(indent=2)", "d|tojson(2)", "[1,none,true]|tojson",
              "'hello world'|regex_replace('o', '0')", "'hello world'|regex_replace('(l+)', '<\\\\1>')", "'hello'|regex_replace('l', 'L', 1)", "'hello'|regex_replace('l', 'L', count=1)", "'abxd'|regex_replace('x*', '-')", "'2024-01'|regex_replace('(?P<y>\\\\d+)-(\\\\d+)', '\\\\g<2>/\\\\g<y>')", "'a.b'|regex_replace('\\\\.', '\\\\n')", "'aaa'|regex_replace('a{,2}', 'x')", "'line\\n'|regex_replace('\\\\s+\\\\Z', '')", "'x'|regex_replace('(', '')", "'x'|regex_replace('x', '\\\\9')", "'x'|regex_replace('x', '\\\\q')", "'Grüße'|regex_replace('\\\\w', 'w')", "'a1b22'|regex_replace('[0-9]+', '#')", "'abc'|regex_replace('(a)|(b)', '[\\\\1\\\\2]')", "'a b'|regex_replace('^', '> ')", "''|regex_replace('', 'x')", "'[title] x [header] y'|regex_replace('\\\\[.*?\\\\]', '')", "s|regex_replace('(?i)HELLO', 'Bye')", "n|regex_replace('1','2')", "'aé'|regex_replace('', '.')", "'abab'|regex_replace('(?<=a)b', 'X')", "'x'|regex_replace('x', '\\\\\\\\')"]:
        add("task", "{{ " + x + " }}", DATA)


def tests():
    values = ["n", "neg", "f", "s", "e", "yes", "no", "nil", "l", "d", "x", "range(2)", "(1,)", "loop", "cycler(1)", "namespace()", "s.upper", "range", "2.0", "'ABC'", "'abc'", "l|map('string')"]
    names = ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "sequence", "iterable", "callable", "lower", "upper", "escaped", "odd", "even"]
    for v in values:
        add("chat", "|".join("{{ %s is %s }}" % (v, t) for t in names[:-2]), DATA)
    for v in ["n", "neg", "f", "s", "yes", "nil", "x", "4.0"]:
        for t in names[-2:]:
            add("chat", "{{ %s is %s }}" % (v, t), DATA)
    each("chat", [
        "9 is divisibleby 3", "9 is divisibleby(2)", "9 is not divisibleby 2", "n is eq 3", "n is equalto(3)", "n is ne 3", "n is lt 4", "n is lessthan 3", "n is le 3", "n is gt 2", "n is greaterthan(3)", "n is ge 3", "n is sameas 3", "nil is sameas none", "yes is sameas true", "1 is sameas true", "l is sameas l", "[1] is sameas [1]", "n is in l", "n is in [1,2]", "n is not in [1,2]", "'a' is in 'abc'", "'upper' is filter", "'nope' is filter", "'odd' is test", "n is not none", "not n is none", "n is string or n is number", "n is eq 3 and s is string", "n is divisibleby 3 == true", "n is defined is true", "x is not defined", "s is eq 'Hello World'", "l is eq [3,1,2]", "d is mapping and d.a is integer", "n is eq -3", "n is divisibleby n + 1", "n is nope.x", "n is sameas f",
    ])


def statements():
    for t in [
        "{% for x in l %}{{ x }},{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in l %}{{ loop.index }}/{{ loop.length }}:{{ loop.index0 }},{{ loop.revindex }},{{ loop.revindex0 }},{{ loop.first }},{{ loop.last }};{% endfor %}",
        "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}", "{% for x in l %}{{ loop.cycle('a','b') }}{% endfor %}", "{% for x in [1,1,2,2,1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}", "{% for x in l %}{{ loop.cycle() }}{% endfor %}",
        "{% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %}", "{% for k, v in d|dictsort %}{{ k }}={{ v }} {% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in u %}{{ c }}.{% endfor %}", "{% for a, b in nested %}{{ a }}{% endfor %}", "{% for a, b in [[1,2,3]] %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for a, (b, c) in [[1,[2,3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a in n %}{% endfor %}", "{% for a in nil %}{% endfor %}", "{% for a in x %}a{% else %}empty{% endfor %}",
        "{% for x in l if x > 1 %}{{ x }}:{{ loop.index }}/{{ loop.length }} {% endfor %}", "{% for x in l if x > 9 %}a{% else %}no{% endfor %}", "{% for x in l if x > 1 %}{{ loop.last }}{{ loop.nextitem }} {% endfor %}", "{% for x in range(5) if x is odd %}{{ loop.revindex }}{% endfor %}", "{% for i in l|map('string') %}{{ i }}{{ loop.length }}{% endfor %}",
        "{% set ns = namespace(on=true) %}{% for x in range(6) if ns.on %}{{ x }}{% if x == 2 %}{% set ns.on = false %}{% endif %}{% endfor %}",
        "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}", "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in [1] %}{% break %}{% else %}E{% endfor %}", "{% for x in [1,2] %}{% continue %}{% else %}E{% endfor %}", "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}|{% endfor %}", "{% for x in l %}{% if true %}{% if x == 1 %}{% break %}{% endif %}{% endif %}{{ x }}{% endfor %}", "{% break %}", "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in l %}{% set y %}a{{ x }}{% if x == 1 %}{% break %}{% endif %}{% endset %}{{ y }}{% endfor %}",
        "{% for x in nested recursive %}[{% if x is iterable %}{{ loop(x) }}{% else %}{{ x }}@{{ loop.depth }}{{ loop.depth0 }}{% endif %}]{% endfor %}", "{% for x in nested %}{{ loop(x) }}{% endfor %}", "{% for x in l recursive %}{{ x }}{% else %}E{% endfor %}",
        "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in l %}{% set outer = loop %}{% for y in [1] %}{{ outer.index }}{% endfor %}{% endfor %}", "{% for x in l %}{{ loop }}{% endfor %}", "{{ loop is defined }}{% for x in l %}{% endfor %}{{ x is defined }}", "{% for x in l %}{{ loop.foo }}{% endfor %}|", "{% for x in l, 5 %}{{ x }};{% endfor %}", "{% for x in 1,2,3 %}{{ x }}{% endfor %}", "{% for (a, b) in [(1,2)] %}{{ a }}{{ b }}{% endfor %}", "{% for x in l if x %}{{ x }}{% endfor %}", "{% for x in (l if n else []) %}{{ x }}{% endfor %}",
        "{% if n > 2 %}a{% elif n > 1 %}b{% else %}c{% endif %}", "{% if x %}a{% elif e %}b{% elif n %}c{% else %}d{% endif %}", "{% if not x %}a{% endif %}", "{% if n == 3 and s %}a{% endif %}", "{% if x is defined and x.y %}a{% else %}b{% endif %}", "{% if n, %}a{% endif %}", "{% if false %}{{ s|nofilter }}{% endif %}ok", "{{ (s|nofilter) if false else 'ok' }}", "{% if true %}{{ s|nofilter }}{% endif %}", "{% if true %}{% for i in l %}{{ s|nofilter }}{% endfor %}{% endif %}", "{% if false %}{{ s is notest }}{% endif %}ok", "{% if: %}{% endif %}", "{% if n: %}a{% endif %}",
        "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set (a, b) = [1, 2] %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a, b = 1 %}", "{% set a %}x{{ n }}y{% endset %}[{{ a }}]", "{% set a | upper | replace('X','z') %}x{% endset %}{{ a }}", "{% set a = 1 %}{% for i in [1,2] %}{{ a }}{% set a = a + 1 %}{{ a }} {% endfor %}{{ a }}", "{% for i in [1,2] %}{{ q2 }}{% set q2 = i %}{{ q2 }}{% endfor %}", "{% if true %}{% set z = 5 %}{% endif %}{{ z }}", "{% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% set ns.b = i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}{{ ns.c is defined }}", "{% set ns = namespace({'k': 1}, z=2) %}{{ ns.k }}{{ ns.z }}{{ ns }}", "{% set d.a = 5 %}", "{% set nope.a = 5 %}", "{% set 1 = 2 %}", "{% set a.b.c = 2 %}", "{% set none = 2 %}", "{% set l[0] = 2 %}", "{% set ns = namespace() %}{% set ns.x, y = 1, 2 %}{{ ns.x }}{{ y }}", "{% set n = n + 1 %}{{ n }}", "{% set ns = namespace(s='') %}{% set ns.s %}blk{% endset %}{{ ns.s }}",
        "{% macro m() %}x{% endmacro %}{{ m() }}{{ m() }}", "{% macro m(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=3) }} {{ m(b=1, a=2) }} {{ m() }}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(1) }}", "{% macro m(a) %}{{ a + 1 }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(5) }}", "{% macro m(a, b=1, c) %}{% endmacro %}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m(a) %}{% set b = a %}{{ b }}{% endmacro %}{{ m(1) }}{{ b is defined }}", "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro m() %}{{ later }}{% endmacro %}{% set later = 4 %}{{ m() }}", "{% set v = 1 %}{% macro m() %}{{ v }}{% endmacro %}{% for v in [7] %}{{ m() }}{% endfor %}", "{% macro m(a, b) %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{% endmacro %}{{ m(1, 2) }}", "{% macro m() %}{% endmacro %}{{ m }}", "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(*a) %}{% endmacro %}", "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}{{ m(x=1, *[]) }}", "{% macro m(a,b,c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1, *[2], c=3) }}{{ m(1, *[2], **{'c': 4}) }}", "{% macro t(p) %}{%- if p.k -%}{{ t(p.k) }}{%- else -%}leaf{%- endif -%}{% endmacro %}{{ t({'k': {'k': {}}}) }}",
        "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body{{ n }}{% endcall %}", "{% macro m(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(v) m(l) %}<{{ v }}>{% endcall %}", "{% macro m() %}{{ caller is defined }}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller() if caller else 'no' }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}", "{% macro m(a, caller=none) %}{{ caller() }}{% endmacro %}{% call m(1) %}C{% endcall %}", "{% macro m(caller) %}{{ caller() }}{% endmacro %}", "{% call n %}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5, c=6) m() %}{{ a }}{{ b }}{{ c }}{% endcall %}", "{% macro m() %}{{ caller.name }}{{ caller.arguments }}{% endmacro %}{% call(a) m() %}{% endcall %}",
        "{% filter upper %}abc {{ s }}{% endfilter %}", "{% filter replace('a','b')|upper %}aXa{% endfilter %}", "{% filter indent(2) %}a\nb{% endfilter %}", "{% filter nofilter %}{% endfilter %}", "{% filter upper %}{% set inn = 1 %}{{ inn }}{% endfilter %}{{ inn }}",
        "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}", "{% with a = n, b = a %}{{ b }}{% endwith %}|", "{% with n = 5 %}{{ n }}{% endwith %}{{ n }}", "{% with (a, b) = (1, 2) %}{{ a }}{{ b }}{% endwith %}",
        "{% generation %}g{{ n }}{% endgeneration %}", "{% generation %}{% set w = 1 %}{% endgeneration %}{{ w is defined }}", "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}", "{% print n, s %}", "{% print(n) %}", "{% block b %}x{{ n }}{% endblock %}", "{% block b %}x{% endblock b %}", "{% do l.append(1) %}", "{% nope %}", "{% endif %}", "{% if n %}{% endfor %}", "{% for %}{% endfor %}", "{% for x l %}{% endfor %}", "{% raw %}", "{# open", "{{ 1", "{% if n", "{{ }}", "{% %}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ {1} }}", "{{ 'a }}", "{{ a b }}", "{{ 1 2 }}", "{{ $ }}", "{{ a.1b }}", "{{ a. }}", "{{ a.'b' }}", "{{ a[] }}", "{{ a is }}", "{{ a| }}", "{{ f(a=1, 2) }}", "{{ f(**d, 1) }}", "{{ not }}", "{% set %}", "{% set a %}", "{% set a b %}", "{% macro %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{{ 'a' if }}", "{% if true %}{% else %}{% else %}{% endif %}", "{{ a ? b }}", "{{ '\\x4' }}", "{{ a and }}", "{{ a;b }}", "{{ !a }}", "{{ a && b }}", "{% set a = %}", "{% elif %}", "{{ x is defined is none }}", "{{ 1 if true else }}", "{{ range(3) if true }}", "{{ -}}", "{{- -1 -}}", "{{ 'x' -}}  y", "{%- -%}",
        "{{ raise_exception('boom ' ~ n) }}", "{% if n %}{{ raise_exception('x') }}{% endif %}", "{{ strftime_now('%Y-%m-%d %H:%M') }}", "{{ strftime_now('%d %b %Y %A %j %y %p') }}", "{{ strftime_now('') }}", "{{ strftime_now('%-d/%-m') }}", "{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{{ cycler() }}", "{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{{ j() }}c", "{% set j = joiner() %}{{ j() }}a{{ j() }}b", "{{ dict(a=1,b=2) }}", "{{ dict() }}", "{{ namespace(a=1).a }}", "{{ namespace(1) }}",
        "{{ s.upper }}{{ 1 }}" if False else "{{ s.upper() }}", "{% set range = 5 %}{{ range }}", "{% for i in l %}{% set i = 9 %}{{ i }}{% endfor %}", "{% for m in messages[::-1] %}{% set idx = (messages|length - 1) - loop.index0 %}{{ idx }}{{ m.role }}{% endfor %}", "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m['role'] == 'assistant' and m.content is string and m['tool_calls'] is defined %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}", "{%- for m in messages %}\n    {{- '<|' + m.role + '|>\\n' + m['content'] + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}x{%- endif %}", "{% for m in messages %}{{ m.items()|list }}{% endfor %}", "{% if messages[0]['role'] == 'system' %}a{% else %}{% set loop_messages = messages %}{% endif %}{% for m in loop_messages %}{{ m.content }}{% endfor %}", "{{ messages | map(attribute='content') | join('|') }}", "{{ (messages|last).role }}", "{{ messages[-1].content.split('o')[0].rstrip('\\n') }}",
        "{% set x = [1,2,3] %}{% set y = x %}{{ x is sameas y }}", "{{ [1,2,3][l[1]] }}", "{{ d[s[:0] ~ 'a'] }}", "{% set tool = users[0] %}{{ tool.t.k }}{% set tool = tool.t %}{{ tool.k }}", "{{ users[0]['t']['k'] + users[1].t.k }}", "{{ lines.split('\\n') | reject('equalto', '') | list }}", "{{ 'a' in ['a'] and 'b' not in ['a'] }}", "{{ ('x' ~ n) * 2 }}", "{{ {'a': {'b': 1}}.a.b }}", "{{ [[1,2],[3,4]]|sum(start=[])|join }}", "{{ 'abc'|list|reverse|join }}", "{{ (1, 2) + (3,) }}", "{{ users|map(attribute='age')|unique|sort|join('<') }}", "{% set g = l|map('string') %}{{ g|list }}{{ g|list }}", "{% set g = l|select('odd') %}{{ g|first }}{{ g|list }}", "{{ l|select('odd')|length }}", "{% if l|select('gt', 9) %}t{% else %}f{% endif %}", "{{ (l|map('string'))[0] }}", "{{ d.items()[0] }}", "{{ d.keys()|first }}", "{% set t = d.items()|list %}{{ t[0][0] }}", "{{ users|groupby('age')|map(attribute='grouper')|list }}", "{% for g in users|groupby('age') %}{{ g.grouper }}:{{ g.list|length }}{{ g[0] }} {% endfor %}", "{% for age, us in users|groupby('age') %}{{ age }}={{ us|map(attribute='name')|join(',') }};{% endfor %}",
    ]:
        add("chat", t, DATA)
        add("task", t, DATA)
    for t in ["{{ doc }}", "{{question.strip()}}\nAnswer:", "{{choices.index(answer)}}", "{{['A','B','C'][label]}}", "{{ question }} {% for c in choices %}\n({{ 'ABCD'[loop.index0] }}) {{ c }}{% endfor %}\n", "{% set q = question %}{{q|trim}}?\n", "{{label}}", "{{choices}}", "{{ choices|length }}", "{{missing}}", "{{ question[0]|upper }}{{ question[1:] }}", "Q: {{question}}\nA: {{choices[label]}}\n\n", "{{ endings|map('trim')|list }}", "{{ question.replace('  ', ' ') }}", "{{ answer.split('####')[-1].strip() if answer is defined else '' }}", "{{ activity_label ~ ': ' ~ question|capitalize }}", "{{ question|regex_replace('\\\\[.*?\\\\]','') }}"]:
        add("task", t, {"question": "  what  is [x] it ", "choices": ["b", "c", "a"], "answer": "c", "label": 1, "doc": {"a": [1, "x"]}, "endings": [" a ", "b "], "activity_label": "Run"})


def main():
    for make in (whitespace, expressions, methods, filters, tests, statements):
        make()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"made_with": "Jinja2 %s",\n"contexts": %s,\n"cases": [\n' % (jinja2.__version__, json.dumps(CONTEXTS)))
        f.write(",\n".join(json.dumps(c, ensure_ascii=True) for c in CASES))
        f.write("\n]}\n")
    print(len(CASES), "cases,", sum("error" in c for c in CASES), "of them errors")


if __name__ == "__main__":
    main()
