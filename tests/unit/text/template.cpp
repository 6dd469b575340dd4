// The template interpreter: what Jinja2 3.1 (ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls,
// Transformers' tojson) renders from each template, and what is refused.
#include "frontend/text/template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace vks {
namespace {

nlohmann::ordered_json variables() {
    return nlohmann::ordered_json::parse(R"~({
        "s": "Hé llo", "e": "", "n": 3, "f": 2.5, "big": 1e+20, "l": [1, "a", null], "d": {"b": 1, "a": "x y"},
        "t": true, "no": null,
        "msgs": [{"role": "user", "content": "hi"},
                 {"role": "assistant", "content": null, "tool_calls": [{"name": "f"}]},
                 {"role": "tool", "content": "a</think>b</think>c"}],
        "tools": [{"name": "f", "parameters": {"z": 1, "a": [true, null, 1.5, "中\"\n\u007f"]}, "empty": {}}]})~");
}

Result<std::string> render(const std::string& source) {
    auto parsed = Template::parse(source, "t.jinja");
    if (!parsed) return parsed.error();
    return parsed->render(variables());
}

// The message, without the file.
std::string refusal(const std::string& source) {
    const auto text = render(source);
    if (text) return "rendered: " + *text;
    EXPECT_EQ(text.error().code, Code::kBadInput);
    EXPECT_EQ(text.error().text.find('\n'), std::string::npos);
    const std::string start = "chat template (t.jinja): ";
    EXPECT_EQ(text.error().text.substr(0, start.size()), start);
    return text.error().text.substr(start.size());
}

struct Case {
    const char* source;
    const char* expected;
};

constexpr Case kRendered[] = {
    // print
    {"{{ s }}|{{ no }}|{{ t }}|{{ n }}|{{ f }}|{{ big }}|{{ missing }}|", "Hé llo|None|True|3|2.5|1e+20||"},
    {"{{ l }} {{ d }} {{ (1,) }} {{ ['it\\'s', \"q\\\"\"] }}",
     "[1, 'a', None] {'b': 1, 'a': 'x y'} (1,) [\"it's\", 'q\"']"},
    {"{{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 2.0 }} {{ 7 / 2 }} {{ 4 / 2 }}",
     "1e+16 1000000000000000.0 0.0001 1e-05 2.0 3.5 2.0"},
    {"{{ missing is defined }} {{ l[7] is defined }} {{ d.zz is undefined }} {{ none is none }}",
     "False False True True"},
    // white space
    {"a\n  {% if t %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"},
    {"a\n  {%- if t -%}\n  b\n  {%- endif %}\nc\n\n", "abc\n"},
    {"a\n  {%+ if t +%}\n  b\n  {%+ endif %}\nc", "a\n  \n  b\n  c"},
    {"a \n {{- s -}} \n b {{ '' }}\n", "aHé llob "},
    {"  {# c #}\nx {#- d -#} y\n  {#+ e +#}\nz", "xy\n  \nz"},
    {"{% raw %}{{ x }}{% if %}{% endraw %}\n  {%- raw -%}\n {# r #} {%- endraw -%}\n e", "{{ x }}{% if %}{# r #}e"},
    {"x\r\ny\rz\n\n", "x\ny\nz\n"},
    {"{{ '%}' }}{% set x = '{{ }}' %}{{ x }}{{ {'a': {'b': 1}}.a.b }}", "%}{{ }}1"},
    // literals
    {"{{ '\\n\\t\\\\\\'\\x41\\u00e9\\U0001F600\\101\\q' }}", "\n\t\\'Aé😀A\\q"},
    {"{{ 'a' \"b\" 'c' }}{{ '\n' }}|", "abc\n|"},
    {"{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}", "TrueTrueNoneNoneFalse"},
    {"{{ [1, 2,] }}{{ {} }}{{ () }}{{ ('a', 'b') }}{{ {'a': 1, 'b': [2], 'a': 3} }}",
     "[1, 2]{}()('a', 'b'){'a': 3, 'b': [2]}"},
    // operators
    {"{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ true + 1 }}", "3 3 -4 2 -2 2"},
    {"{{ 'a' + 'b' }}{{ 'a' ~ 1 ~ none ~ 2.0 }}{{ 'ab' * 2 }}{{ [1] + [2] }}{{ (1,) + (2,) }}",
     "aba1None2.0abab[1, 2](1, 2)"},
    {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ 'a' < 'b' }} {{ 3 >= 3 }}",
     "True False True True False True True"},
    {"{{ 'll' in s }} {{ 'x' not in d }} {{ 'b' in d }} {{ none in l }} {{ 1 in (1, 2) }} {{ 'x' in missing }}",
     "True True True True True False"},
    {"{{ '' or 'x' }} {{ 'y' and 0 }} {{ not '' }} {{ not [] }} {{ 0 or none or [] }}", "x 0 True True []"},
    {"{{ 'a' if t else 'b' }}{{ 'a' if e else 'b' if no else 'c' }}{{ 'gone' if e }}|", "ac|"},
    {"{{ -n }} {{ +n }} {{ - -n }} {{ not t == e }}", "-3 3 3 True"},
    {"{{ [1, [2, {'a': 1}]] == [1, [2, {'a': 1.0}]] }} {{ [1] == (1,) }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}",
     "True False True"},
    // attributes and indexes
    {"{{ d.b }}{{ d['a'] }}{{ msgs[0].role }}{{ msgs[-1]['role'] }}{{ d['zz'] }}{{ none.x }}|", "1x yusertool|"},
    {"{{ s[1] }}{{ s[-1] }}{{ s[99] }}{{ l[true] }}{{ d[1] }}|{{ 'abc'['x'] }}", "éoa|"},
    {"{{ s[1:4] }}|{{ s[:2] }}|{{ s[-3:] }}|{{ s[::-1] }}|{{ s[4:1:-1] }}|{{ s[9:] }}|{{ l[1:] }}|{{ l[::2] }}|{{ "
     "s[:-1] }}",
     "é l|Hé|llo|oll éH|ll ||['a', None]|[1, None]|Hé ll"},
    // filters
    {"{{ tools | tojson }}",
     "[{\"name\": \"f\", \"parameters\": {\"z\": 1, \"a\": [true, null, 1.5, \"中\\\"\\n\x7f"
     "\"]}, \"empty\": {}}]"},
    {"{{ tools[0] | tojson(indent=2) }}",
     "{\n  \"name\": \"f\",\n  \"parameters\": {\n    \"z\": 1,\n    \"a\": [\n      true,\n      null,\n      1.5,\n  "
     "    \"中\\\"\\n\x7f"
     "\"\n    ]\n  },\n  \"empty\": {}\n}"},
    {"{{ tools[0].parameters | tojson(ensure_ascii=True, separators=(',', ':'), sort_keys=true) }} {{ 's' | tojson }}",
     "{\"a\":[true,null,1.5,\"\\u4e2d\\\"\\n\\u007f\"],\"z\":1} \"s\""},
    {"[{{ ' \t x\u00a0\n' | trim }}] {{ 'xxaxx' | trim('x') }} {{ s | length }} {{ l | count }} {{ missing | length }}",
     "[x] a 6 3 0"},
    {"{{ missing | default('d') }}{{ '' | default('d') }}{{ '' | default('d', true) }}{{ missing | d }}|", "dd|"},
    {"{{ l | join(', ') }} {{ 'abc' | join('-') }} {{ l | first }} {{ l | last }} {{ [] | first }}| {{ d | list }} {{ "
     "'né' | list }}",
     "1, a, None a-b-c 1 None | ['b', 'a'] ['n', 'é']"},
    {"{{ 'aXa' | upper }} {{ 'aXa' | lower }} {{ 'aaa' | replace('a', 'bb', 2) }} {{ 12 | string + '!' }}",
     "AXA axa bbbba 12!"},
    {"{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}", "b=1;a=x y;"},
    {"{{ 'a' + ' b ' | trim + 'c' }}", "abc"},
    // methods
    {"{{ msgs[2].content.split('</think>')[-1] }} {{ msgs[2].content.split('</think>', 1)[1] }} {{ 'a,b,c'.rsplit(',', "
     "1) }} {{ ' a  b '.split() }}",
     "c b</think>c ['a,b', 'c'] ['a', 'b']"},
    {"{{ ' a  b  c '.split(none, 1) }} {{ '\n a '.split(none, 0) }} {{ ' a b'.split(none, 5) }}",
     "['a', 'b  c '] ['a '] ['a', 'b']"},
    {"[{{ '\n x \n'.strip() }}] [{{ 'xyax'.lstrip('xy') }}] [{{ 'a\n\n'.rstrip('\n') }}]", "[x] [ax] [a]"},
    {"{{ s.startswith('H') }} {{ s.endswith(('x', 'lo')) }} {{ s.find('l') }} {{ s.find('q') }} {{ 'a-b'.replace('-', "
     "'+') }} {{ 'ab'.upper() }}",
     "True True 3 -1 a+b AB"},
    {"{{ d.get('b') }} {{ d.get('q') }} {{ d.get('q', 'z') }} {{ d.keys() | list }} {{ d.values() | list }} {{ "
     "d.items() | list }} {{ ','.join(['a', 'b']) }}",
     "1 None z ['b', 'a'] [1, 'x y'] [('b', 1), ('a', 'x y')] a,b"},
    // tests
    {"{{ s is string }} {{ d is mapping }} {{ l is sequence }} {{ l is iterable }} {{ n is iterable }} {{ n is number "
     "}} {{ t is number }} {{ t is integer }} {{ f is float }} {{ t is boolean }}",
     "True True True True False True True False True True"},
    {"{{ no is not none }} {{ t is true }} {{ 1 is true }} {{ n is odd }} {{ 4 is divisibleby 2 }} {{ n is in [1, 3] "
     "}} {{ n is eq 3 }} {{ s is not string }}",
     "False True False True True True True False"},
    // loops
    {"{% for m in msgs %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ "
     "loop.revindex }}{{ m.role }} {% endfor %}",
     "10TrueFalse33user 21FalseFalse32assistant 32FalseTrue31tool "},
    {"{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "<1>a;1<a>None;a<None>;"},
    {"{% for x in [] %}x{% else %}none{% endfor %}{% for x in missing %}x{% else %}none{% endfor %}{% for c in 'né' "
     "%}[{{ c }}]{% endfor %}",
     "nonenone[n][é]"},
    {"{% for x in [1, 2, 3, 4] if x is odd %}{{ x }}/{{ loop.length }}{% if not loop.last %},{% endif %}{% endfor %}",
     "1/2,3/2"},
    {"{% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% "
     "endfor %}",
     "02"},
    {"{% for x in [1] %}{% break %}{% else %}E{% endfor %}", "E"},
    {"{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }} {% endfor %}{% for a in [1, 2] %}{% for b in [1, 2] %}{{ "
     "loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
     "3 7 121 122 "},
    {"{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}", "321"},
    // variables
    {"{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }} {% endfor %}{{ x }}", "12 12 1"},
    {"{% set ns = namespace(x=1, l=[]) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% set ns.l = ns.l + [i] %}{% "
     "endfor %}{{ ns.x }}{{ ns['l'] }}{{ ns.q is defined }}",
     "4[1, 2]False"},
    {"{% if t %}{% set x = 'in' %}{% endif %}{{ x }}{% set t = false %}{{ t }}", "inFalse"},
    {"{% set x %}a{{ n }}{% set y = 2 %}{% endset %}{{ x }}{{ y is defined }}", "a3False"},
    {"{% for m in [1] %}[{{ n }}]{% endfor %}{% set n = 9 %}{{ n }}", "[]9"},
    {"{% for m in [1] %}[{{ n }}]{% endfor %}{% if t %}{% set n = 9 %}{% endif %}{{ n }}", "[3]9"},
    {"{% if e %}a{% elif no %}b{% elif t %}c{% else %}d{% endif %}", "c"},
    // macros
    {"{% macro m(a, b='B', c=a) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m(b=1) }}{{ m() }}",
     "<1B1><1B2><1><B>"},
    {"{% macro m() %}{{ x }}{{ q }}{% endmacro %}{% set x = 1 %}{% for q in [5] %}{{ m() }}{% endfor %}", "1"},
    {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "3210"},
};

TEST(Template, RendersWhatJinjaRenders) {
    for (const Case& c : kRendered) {
        const auto text = render(c.source);
        ASSERT_TRUE(text) << c.source << "\n" << text.error().text;
        EXPECT_EQ(*text, c.expected) << c.source;
    }
}

// What is not known is refused when the template is parsed, whether or not it would be reached.
constexpr Case kRefusedByParser[] = {
    {"{% include 'x' %}", "wanted a known tag, found \"include\", at line 1, column 4"},
    {"ab\nä{% filter upper %}{% endfilter %}", "wanted a known tag, found \"filter\", at line 2, column 5"},
    {"{% if false %}{{ x | shout }}{% endif %}", "wanted a known filter, found \"shout\", at line 1, column 22"},
    {"{{ x | safe }}", "wanted a known filter, found \"safe\", at line 1, column 8"},
    {"{{ x is sameas y }}", "wanted a known test, found \"sameas\", at line 1, column 9"},
    {"{{ x.format(1) }}", "wanted a known method, found \"format\", at line 1, column 6"},
    {"{{ l.append(1) }}", "wanted a known method, found \"append\", at line 1, column 6"},
    {"{{ f(1) }}", "wanted a known function, found \"f\", at line 1, column 4"},
    {"{{ strftime_now('%Y') }}", "wanted a known name, found \"strftime_now\", at line 1, column 4"},
    {"{{ strftime_now is defined }}", "wanted a known name, found \"strftime_now\", at line 1, column 4"},
    {"{{ range }}", "wanted a call of the function, found \"range\", at line 1, column 4"},
    {"{{ 2 ** 3 }}", "wanted a known operator, found \"**\", at line 1, column 6"},
    {"{{ x.__class__ }}", "wanted an attribute of data, found \"__class__\", at line 1, column 6"},
    {"{{ l[0](1) }}", "wanted a function or method to call by its name, found \"(\", at line 1, column 8"},
    {"{{ x | tojson(colour=1) }}", "wanted known arguments for 'tojson', found \"colour\", at line 1, column 8"},
    {"{{ x | replace('a') }}", "wanted 2 arguments for 'replace', found fewer, at line 1, column 8"},
    {"{{ x.strip(chars='a') }}", "wanted known arguments for 'strip', found \"chars\", at line 1, column 6"},
    {"{{ namespace({'a': 1}) }}",
     "wanted namespace() with named arguments, found one without a name, at line 1, column 4"},
    {"{{ range(*l) }}", "wanted plain arguments, found \"*\", at line 1, column 10"},
    {"{% for x in l recursive %}{% endfor %}", "wanted '%}', found \"recursive\", at line 1, column 15"},
    {"{% set a, b = l %}", "wanted '%}', found \",\", at line 1, column 9"},
    {"{% set loop = 1 %}", "wanted the name of a variable, found \"loop\", at line 1, column 8"},
    {"{% set true = 1 %}", "wanted the name of a variable, found \"true\", at line 1, column 8"},
    {"{% break %}", "wanted a loop around it, found \"break\", at line 1, column 4"},
    {"{% for x in l %}{% macro f() %}{% endmacro %}{% endfor %}",
     "wanted a macro outside of loops, macros and set blocks, found one inside, at line 1, column 20"},
    {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
     "wanted at most 1 arguments for 'f', found more, at line 1, column 34"},
    {"{% macro f(a) %}{% endmacro %}{{ f }}",
     "wanted a call of the macro, found \"f\" as a value, at line 1, column 34"},
    {"{% for a in l %}{% for b in l %}{{ q }}{% endfor %}{% set q = 1 %}{% endfor %}",
     "wanted a variable that no inner block reads before it is set, found \"q\", at line 1, column 59"},
    {"{% if t %}", "wanted the end of 'if', found the end of the template, at line 1, column 11"},
    {"{% endif %}", "wanted a known tag, found \"endif\", at line 1, column 4"},
    {"{{ 'abc }}", "wanted the end of the string, found the end of the template, at line 1, column 4"},
    {"{{ x", "wanted the end of the tag, found the end of the template, at line 1, column 1"},
    {"{{ }}", "wanted an expression, found '}}', at line 1, column 4"},
    {"{{ (1] }}", "wanted balanced brackets, found \"]\", at line 1, column 6"},
    {"{{ a b }}", "wanted '}}', found \"b\", at line 1, column 6"},
    {"{{ $x }}", "wanted an expression, found \"$\", at line 1, column 4"},
    {"{{ '\\ud800' }}", "wanted an escape of a character in a string, found none with its number, at line 1, column 4"},
    {"{{ 99999999999999999999 }}", "wanted a 64-bit integer, found \"99999999999999999999\", at line 1, column 4"},
};

TEST(Template, RefusesWhatItDoesNotKnow) {
    for (const Case& c : kRefusedByParser) {
        EXPECT_FALSE(Template::parse(c.source, "t.jinja")) << c.source;
        EXPECT_EQ(refusal(c.source), c.expected) << c.source;
    }
    const auto broken = Template::parse("a\xff", "t.jinja");
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().text, "chat template (t.jinja): wanted UTF-8, found an ill-formed byte 2");
    EXPECT_FALSE(Template::parse(std::string((1 << 20) + 1, 'a'), "t.jinja"));
}

// Where Python raises, or gives what has no stable text.
constexpr Case kRefusedByEvaluator[] = {
    {"{{ 'a' + no }}", "wanted values that '+' takes, found str and None, at line 1, column 8"},
    {"{{ 'a' + msgs[0].zz }}", "wanted values that '+' takes, found str and undefined, at line 1, column 8"},
    {"{{ 'a' + 1 }}", "wanted values that '+' takes, found str and int, at line 1, column 8"},
    {"{{ zz.a }}", "wanted an object with 'a', found undefined, at line 1, column 6"},
    {"{{ zz['a'] }}", "wanted an object to index, found undefined, at line 1, column 6"},
    {"{{ no[1:] }}", "wanted a string or a list to slice, found None, at line 1, column 6"},
    {"{{ d.items }}", "wanted a field or a called method, found attribute 'items' of dict, at line 1, column 5"},
    {"{{ s['__class__'] }}",
     "wanted a field or a called method, found attribute '__class__' of str, at line 1, column 5"},
    {"{{ no.split('a') }}", "wanted a string with split(), found None, at line 1, column 7"},
    {"{{ 'a'.split('') }}", "wanted text to split at, found an empty string, at line 1, column 8"},
    {"{% for x in no %}{% endfor %}", "wanted something to loop over, found None, at line 1, column 13"},
    {"{% for a, b in l %}{% endfor %}", "wanted something to loop over, found int, at line 1, column 1"},
    {"{% for a, b in ['abc'] %}{% endfor %}", "wanted 2 values to unpack, found 3, at line 1, column 1"},
    {"{{ 'a' in no }}", "wanted values that 'in' takes, found str and None, at line 1, column 8"},
    {"{{ 1 in 'a' }}", "wanted values that 'in' takes, found int and str, at line 1, column 6"},
    {"{{ 'a' < 1 }}", "wanted two numbers or two strings to compare, found str and int, at line 1, column 8"},
    {"{{ 1 // 0 }}", "wanted a divisor other than zero, found zero, at line 1, column 6"},
    {"{{ 9223372036854775807 + 1 }}",
     "wanted integers of at most 64 bits, found a larger result, at line 1, column 24"},
    {"{{ no | length }}", "wanted something with a length, found None, at line 1, column 9"},
    {"{{ zz | tojson }}", "wanted a value that JSON can hold, found undefined, at line 1, column 9"},
    {"{{ s | upper }}", "wanted ASCII to change the case of, found other text, at line 1, column 8"},
    {"{{ range(3) }}", "wanted a value with a text, found iterable, at line 1, column 4"},
    {"{{ [namespace()] }}", "wanted a plain value in a list, dict or namespace, found namespace, at line 1, column 4"},
    {"{% set d.x = 1 %}", "wanted a namespace in \"d\", found dict, at line 1, column 1"},
    {"{{ f(1) }}{% macro f(a) %}{% endmacro %}", "wanted a defined macro, found \"f\" earlier, at line 1, column 4"},
    {"{{ {1: 2} }}", "wanted a string as a key, found int, at line 1, column 4"},
    {"{{ raise_exception('no\nsuch role') }}",
     "wanted messages that the template takes, found its refusal \"no\\x0asuch role\", at line 1, column 4"},
};

TEST(Template, RefusesWhatPythonRefuses) {
    for (const Case& c : kRefusedByEvaluator) {
        EXPECT_TRUE(Template::parse(c.source, "t.jinja")) << c.source;
        EXPECT_EQ(refusal(c.source), c.expected) << c.source;
    }
}

std::string repeated(const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
}

TEST(Template, BoundsDepth) {
    const std::string deep = "at most 200 deep";
    EXPECT_NE(refusal("{{ " + repeated("(", 50000) + "1" + repeated(")", 50000) + " }}").find(deep), std::string::npos);
    EXPECT_NE(refusal("{{ " + repeated("not ", 50000) + "1 }}").find(deep), std::string::npos);
    EXPECT_NE(refusal("{{ " + repeated("-", 50000) + "1 }}").find(deep), std::string::npos);
    EXPECT_NE(refusal("{{ 1" + repeated(" + 1", 50000) + " }}").find(deep), std::string::npos);
    EXPECT_NE(refusal("{{ x" + repeated(".a", 50000) + " }}").find(deep), std::string::npos);
    EXPECT_NE(refusal("{{ x" + repeated("|trim", 50000) + " }}").find(deep), std::string::npos);
    EXPECT_NE(refusal(repeated("{% if t %}", 5000)).find(deep), std::string::npos);
    EXPECT_EQ(*render("{{ 1" + repeated(" + 1", 150) + " }}"), "151");
    EXPECT_EQ(*render(repeated("{% if t %}", 150) + "x" + repeated("{% endif %}", 150)), "x");
    EXPECT_NE(refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").find("at most 1000 deep"), std::string::npos);
    EXPECT_NE(refusal("{% set ns = namespace(l=[]) %}{% for i in range(200) %}{% set ns.l = [ns.l] %}{% endfor %}")
                  .find("nested at most 100 deep"),
              std::string::npos);
    nlohmann::ordered_json nested = 1;
    for (int i = 0; i < 200; ++i) nested = nlohmann::ordered_json::array({nested});
    const auto parsed = Template::parse("{{ x }}", "t.jinja");
    ASSERT_TRUE(parsed);
    EXPECT_FALSE(parsed->render({{"x", nested}}));
}

TEST(Template, BoundsTimeAndSize) {
    EXPECT_NE(refusal("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}").find("steps"),
              std::string::npos);
    EXPECT_NE(refusal("{{ range(100001) }}").find("at most 100000"), std::string::npos);
    const std::string doubling = "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}";
    EXPECT_NE(refusal(doubling + "{% endfor %}").find("at most 67108864 bytes"), std::string::npos);
    EXPECT_NE(refusal("{% for i in range(99) %}{{ 'x' * 1000000 }}{% endfor %}").find("output of at most 67108864"),
              std::string::npos);
    EXPECT_NE(refusal("{% for i in range(99) %}{% set x = 'x' * 60000000 %}{% endfor %}").find("bounded work"),
              std::string::npos);
    EXPECT_NE(refusal("{{ 'x' * 99999999999 }}").find("bytes"), std::string::npos);
    // Searching takes linear time, whatever is searched for.
    EXPECT_EQ(*render("{% set a = 'a' * 4000000 %}{{ ('a' * 2000000 + 'b') in a }}"), "False");
}

TEST(Template, TakesAnyIntegerAndText) {
    const auto parsed = Template::parse("{{ x }}", "t.jinja");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed->render({{"x", INT64_MIN}}), "-9223372036854775808");
    EXPECT_EQ(*parsed->render({{"x", INT64_MAX}}), "9223372036854775807");
    EXPECT_FALSE(parsed->render({{"x", UINT64_MAX}}));
    EXPECT_FALSE(parsed->render({{"x", "\xc3"}}));
    EXPECT_EQ(*parsed->render({{"x", std::string("a\0b", 3)}}), std::string("a\0b", 3));
}

}  // namespace
}  // namespace vks
