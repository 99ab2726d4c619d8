"""Renders chat templates of our own with transformers' renderer and writes chats.json.

    pip install transformers==4.57.1 tokenizers==0.22.2 jinja2==3.1.6
    python make_chats.py

`expressions` are single expressions, each over the variables in `variables`; `text` is what `{{ expression }}` gives, or
`error` is true. `templates` are written in the manner of the templates of Qwen 3, Llama 3.1, DeepSeek, Mistral, GLM and
others (their layout and the Jinja they use, not their words), and rendered over `chats`.
"""

import itertools
import json
import pathlib

import jinja2
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

HERE = pathlib.Path(__file__).parent

VARIABLES = {
    "s": " Hello, World! \n",
    "path": "a/b//c",
    "quote": "it's \"x\" \\ \t é 日本 \u200b\u00a0 <&>",
    "empty": "",
    "n": 7,
    "neg": -3,
    "x": 2.5,
    "tiny": 0.00001,
    "huge": 1e22,
    "whole": 3.0,
    "yes": True,
    "no": False,
    "nil": None,
    "words": ["pear", "apple", "Fig"],
    "nums": [3, 1, 2, 1],
    "nothing": [],
    "d": {"b": 1, "a": [1, 2.0, None, True], "items": "own", "C": {"k": "v"}},
    "rows": [{"role": "user", "n": 1, "tag": {"t": "u"}}, {"role": "tool", "n": 0}, {"role": "user", "n": 2, "tag": {"t": "w"}}],
}

EXPRESSIONS = r"""
s | s.strip() | s.lstrip() | s.rstrip('\n') | s.strip(' !\n') | s.upper() | s.lower() | s.title() | s.swapcase()
s.split() | s.split(',') | s.split(',')[-1].strip() | s.split(',', 1) | s.split(maxsplit=1) | path.split('/') | path.rsplit('/', 1)
path.split('//')[-1].lstrip('c') | path.partition('/') | path.rpartition('/') | path.partition('#') | s.splitlines() | s.replace('l', 'L', 1)
s.replace('l', '') | path.find('b') | path.find('z') | path.rfind('/') | path.index('b') | path.index('z') | path.count('/') | path.startswith('a/')
path.endswith(('c', 'd')) | path.startswith(('x', 'y')) | path.removeprefix('a/') | path.removesuffix('c') | 'a-b'.title() | "they're".capitalize()
path.startswith('b', 2) | path.find('/', 2) | '%d'.isdigit() | '12'.isdigit() | ''.isdigit() | 'ab'.isalpha() | 'a1'.isalnum() | ' \n'.isspace() | 'Ab'.isupper() | 'AB'.isupper()
'7'.zfill(3) | '-7'.zfill(4) | 'x'.center(4, '*') | 'x'.ljust(3) ~ '|' | 'x'.rjust(3) | ', '.join(words) | ', '.join(nums) | '{} and {}'.format(n, words[0]) | '{a}'.format(a=1)
s[1:4] | s[-3:] | s[::-1] | s[::2] | s[5:1:-1] | empty[::-1] | nothing[::-1] | words[::-1] | words[1:] | words[:-1] | words[5:] | words[-2:][0] | nums[1:2] + nums[:1] | words[1:]|length
nums[10:0:-2] | words[0][1:] | d['a'][1:] | (1, 2, 3)[1:] | nil[1:] | nums[:2] == [3, 1] | words[1:] is sequence | words[1:]|tojson | rows[1:][0].role | nums[::0]
n | neg | x | whole | tiny | huge | yes | no | nil | words | nums | d | rows | quote | [quote] | (1,) | (1, 'a') | () | {} | [] | {'a': nil} | [x, whole, tiny, huge, 1e16, 123456789.0]
n + 1 | n - neg | n * 2 | n / 2 | n // 2 | neg // 2 | n % 4 | neg % 4 | n ** 2 | 2 ** -1 | x + n | 7.0 // 2 | 1 / 3 | -n | -x|abs | 10 / 2 | 'ab' * 3 | [1] * 2 | 0.1 + 0.2 | 1e3 | 5 % 0 | 1_000
words + ['x'] | words + nums | 'a' + 'b' | 'a' + 1 | 'a' ~ 1 ~ nil ~ yes ~ 2.5 ~ words | 'a' 'b' | nil ~ '' | undefined_name ~ 'x' | undefined_name + 'x' | s + undefined_name | n ~ x
n == 7 | n == 7.0 | 1 == yes | 'a' == 1 | n < 10 | 1 < n < 10 | 1 < n < 5 | 'a' < 'b' | [1] == [1] | {'a': 1} == {'a': 1} | nil == none | nil is none | nil is not none | n != 7 | not no | not nothing | not empty
'ell' in s | 'zzz' in s | 1 in nums | 9 not in nums | 'b' in d | 'z' in d | nil in [none] | 'x' in undefined_name | not 'x' in path | n in (7, 8) | 'a' in 5 | 'a' in nil
yes and 'v' | no or 'w' | nil or [] | empty or 'dflt' | n and no | 'y' if yes else 'n' | 'y' if no | ('y' if no) is defined | 1 if empty else 2 if nothing else 3
s is string | n is string | n is number | yes is number | n is integer | yes is integer | x is float | n is float | yes is boolean | nil is boolean | d is mapping | words is mapping | s is mapping
words is iterable | s is iterable | d is iterable | nil is iterable | n is iterable | undefined_name is iterable | words is sequence | s is sequence | d is sequence | n is sequence | nil is sequence | undefined_name is sequence
undefined_name is defined | undefined_name is undefined | d.zz is defined | d.zz is none | nil is defined | yes is true | yes is false | no is false | n is true | n is odd | n is even | n is divisibleby 7 | n is divisibleby(2)
n is eq 7 | n is sameas 7 | n is in nums | 3 is in nums | n is lt 8 | n is ge(7) | 'a' is lower | 'A' is upper | words is not string | n is not odd | range is callable | n is callable | d.b is not defined | 'x' is in 'xyz'
d.a | d['a'] | d.b | d['b'] | d.zz | d['zz'] | d.zz.y | undefined_name.x | nil.x | n.x | s.x | d.C.k | words[0] | words[-1] | words[9] | words[-9] | d.get('b') | d.get('z') | d.get('z', 'q') | d['items'] | d.keys() | d.keys()|list | d.values()|list
d.items()|list | d.C.items()|list | d.items()|length | (d.items()|list)[0][1] | d|list | d|length | d|items|list | d|dictsort | d.C|dictsort | d|dictsort(true)|map('first')|list | d|first | d.copy() == d | d.pop('b') | words.append('x') | d.update({'z': 1})
words|join(', ') | nums|join | nums|join('-') | [nil, yes, 1.0, 'x']|join(' ') | rows|map(attribute='role')|join('|') | rows|map(attribute='tag.t')|list|length | rows|map(attribute='tag.t', default='-')|join(',') | rows|join(',', attribute='role') | s|join('.')
words|first | words|last | nothing|first | nothing|last | s|first | path|last | words|length | s|length | nil|length | undefined_name|length | n|length | words|count | words|list | path|list | nothing|list | nil|list | d.C|list
words|sort | words|sort(case_sensitive=true) | nums|sort | nums|sort(reverse=true) | rows|sort(attribute='n')|map(attribute='n')|list | nums|unique|list | words|reverse|list | path|reverse | nums|sum | rows|sum(attribute='n') | nums|max | nums|min | words|max
rows|selectattr('role', 'equalto', 'user')|list|length | rows|selectattr('role', '==', 'tool')|map(attribute='n')|list | rows|rejectattr('role', 'eq', 'user')|list | rows|selectattr('tag')|list|length | rows|selectattr('tag', 'defined')|list|length | rows|selectattr('n')|map(attribute='n')|list
rows|selectattr('role', 'in', ['user', 'x'])|map(attribute='n')|list | nums|select('odd')|list | nums|reject('gt', 1)|list | nums|select('divisibleby', 2)|list | words|select('in', 'pear apple')|list | words|map('upper')|list | words|map('length')|list | words|map('replace', 'p', 'q')|list
rows|groupby('role')|map('first')|list | rows|groupby('role')|length | nums|batch(3)|list | nums|slice(2)|list | nothing|sum | words|map('trim')|join | rows|map(attribute='zz')|list|length
s|trim | s|trim|upper | path|trim('ac') | n|trim | nil|trim | undefined_name|trim | s|upper | s|lower | path|capitalize | 'hello world-foo'|title | s|replace('World', 'x') | path|replace('/', '.', 1) | n|string | x|string | nil|string | words|string | yes|string ~ '!' | huge|string
undefined_name|default('q') | nil|default('q') | nil|default('q', true) | empty|default('q', boolean=true) | empty|d('z') | d.zz|default({})|length | undefined_name|default | n|default(1) | no|default(3, true)
'3.7'|int | '42'|int | 'x'|int | 'x'|int(5) | x|int | nil|int | '0x1f'|int(base=16) | '2.5'|float | 'y'|float | n|float | x|round | 3.5|round | 2.567|round(2) | 2.51|round(1, 'floor') | n|round | neg|abs | x|abs | 42|string|length
s|wordcount | s|indent | 'a\nb\n\nc'|indent(2) | 'a\nb'|indent(4, true) | 'a\nb'|indent('> ') | '%s=%d' is string | '%s-%s'|format('a', 1) | s|safe | '<a>'|e | quote|escape | [1, [2, 3]]|string | nums|tojson|length | 'abc'|batch(2)|list
d|tojson | rows|tojson | quote|tojson | quote|tojson(ensure_ascii=true) | x|tojson | tiny|tojson | huge|tojson | whole|tojson | nil|tojson | yes|tojson | nothing|tojson | {}|tojson | d|tojson(indent=2) | d|tojson(indent=4, ensure_ascii=False) | {'b': 1, 'a': {}}|tojson(sort_keys=true, indent=1)
d|tojson(separators=(',', ':')) | d|tojson(True) | {1: 'a', none: 'b', true: 'c', 2.5: 'd'}|tojson | (1, 2)|tojson | undefined_name|tojson | '\u0001\u007f\u2028\b\f'|tojson | nums|tojson(indent=0) | d|tojson(indent='\t') | [[], {}]|tojson(indent=2) | "<a href='x'>&"|tojson
range(3)|list | range(1, 6, 2)|list | range(3, 0, -1)|list | range(0)|list | dict(a=1, b=2) | dict(a=1)|tojson | namespace(a=1).a | range(3)|length | range(5)[1:3]|list | [1, 2, 3]|map('string')|join('+') | range(200000)|length
'\x41\u00e9\n\t\\\'' | '\/' | '\d' | '\101' | "\a\v"|length | '\U0001F600' | 'multi
line' | "tab\tq\"" | '\N' | {'a': 1, 'b': [1, {'c': 2}]}.b[1].c | {'a': 1}['a'] | [[1, 2], [3]][0][1] | {"x": words[1:]}["x"] | d.a[0] | d['C']['k'] | 'abc'[1] | 'abc'[-1] | 'abc'[7] | rows[0]['tag']['t'] | rows[-1].tag.t
(n) | ((n)) + 1 | 2 + 3 * 4 | (2 + 3) * 4 | 2 * 3 % 4 | -2 ** 2 | 'a' ~ 1 + 2 | not yes == no | yes or no and no | n > 3 and x < 3 or nil | 1 + 2 ~ 3 | 'x' ~ (1, 2)[0] | words|length > 2 | words|length - 1 | words[words|length - 1] | nums|sort|first | (words|first)[0] | n|string + 'x'
'a,b'.split(',')|last | s.strip()[0] | s.strip()[:5].lower() | d.get('C', {}).get('k', '') | d.get('C').get('zz') | (d.get('z') or 'none')|upper | s.strip().split(' ')|length | path.split('/')|select|list | "a" if "a" in "abc" else "b" | {'t': [1, 2][::-1]} | [words[1:], words[:1]] | 'İ'.lower()|length
True | False | None | true | none | [True, None] | {'k': False} | (yes, no) | yes + 1 | yes|int | 1 is sameas true | nil|default(none) | none is none | true and none | [none][0] is none | 'None' == nil|string | 3 == 3.0 | 0.1 | 1.5e10 | 100000000000000000000 | 1e100 | -0.0
s.nosuch() | n.strip() | words|nosuch | n is nosuch | nosuch() | d.b() | 'a'|join(1, 2, 3) | {}|dictsort | 'é'|upper | 'straße'.upper() | 'ÀB'.lower() | 'ǆ'.title() | 'a b'.split('') | ' a\u001cb '.split() | 'x'.join([1]) | '\u00a0a\u3000'.strip() | 'a\x0bb\x85c\u2028d'.splitlines()
"""


def split_expressions(text):
    """Expressions are separated by ' | ' and line ends; filters are written without spaces around the bar."""
    for line in text.strip().replace("multi\nline", "multi\0line").split("\n"):
        for expression in line.split(" | "):
            yield expression.replace("\0", "\n")


def rendered(template, messages, tools=None, documents=None, add_generation_prompt=False, continue_final=False, **variables):
    texts, _ = render_jinja_template(
        conversations=[messages], tools=tools, documents=documents, chat_template=template,
        add_generation_prompt=add_generation_prompt, continue_final_message=continue_final, **variables)
    return texts[0]


def expressions():
    for expression in split_expressions(EXPRESSIONS):
        case = {"expression": expression}
        try:
            case["text"] = rendered("{{ " + expression + " }}", [{"role": "user", "content": ""}], **VARIABLES)
        except Exception:
            case["error"] = True
        yield case


TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

WEATHER = {"type": "function", "function": {"name": "weather", "description": "Weather of a <place> & \"time\"", "parameters": {
    "type": "object", "properties": {"place": {"type": "string", "description": "Ort, z. B. Köln"}, "days": {"type": "integer", "enum": [1, 2, 3]}},
    "required": ["place"]}}}
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "items": {"type": "array", "items": {"type": "string"}}}}}}

CALL = {"type": "function", "id": "call00001", "function": {"name": "weather", "arguments": {"place": "Köln", "days": 2, "exact": True, "note": None, "at": [1.5, 2]}}}
CALL_TEXT = {"type": "function", "id": "call00002", "function": {"name": "add", "arguments": "{\"a\": 1}"}}

CHATS = {
    "one": [{"role": "user", "content": "What is 2+3?"}],
    "system": [{"role": "system", "content": "  Be brief.\n"}, {"role": "user", "content": "Hi  "}],
    "turns": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " b "}, {"role": "user", "content": "c\n"}],
    "thinking": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nso\n</think>\n\nanswer"}, {"role": "user", "content": "r"},
                 {"role": "assistant", "content": "<think>\nlast\n</think>\n\nend"}],
    "reasoning": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "done", "reasoning_content": "\nbecause\n"}],
    "calls": [{"role": "system", "content": "S"}, {"role": "user", "content": "weather?"}, {"role": "assistant", "content": "", "tool_calls": [CALL]},
              {"role": "tool", "name": "weather", "content": "rain", "tool_call_id": "call00001"}, {"role": "tool", "name": "weather", "content": "{\"t\": 3}", "tool_call_id": "call00002"},
              {"role": "assistant", "content": "It rains."}, {"role": "user", "content": "thanks"}],
    "null content": [{"role": "user", "content": "u"}, {"role": "assistant", "content": None, "tool_calls": [CALL, CALL_TEXT]}, {"role": "tool", "content": {"r": [1, 2]}, "tool_call_id": "call00001"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "look: "}, {"type": "image"}, {"type": "text", "text": "and say"}]}, {"role": "assistant", "content": [{"type": "text", "text": "ok"}]}],
    "bad order": [{"role": "assistant", "content": "x"}, {"role": "assistant", "content": "y"}],
    "strange role": [{"role": "critic", "content": "boo"}],
    "unicode": [{"role": "user", "content": "naïve 日本語 😀 \u2028 <b>&amp;'\"\\"}],
}

TEMPLATES = {
    # Two system forms, tool list, tool messages grouped by a look at the neighbours, reasoning kept after the last question.
    "qwen3 manner": r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- "Functions:\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools> as {\"name\": <n>, \"arguments\": <o>}<|im_end|>\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
""",
    # Date, popped system message, tools in the user message, exceptions, trim of a concatenation.
    "llama 3.1 manner": r"""{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%Y") | length %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message comes out of the list. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Date: " + date_string|string + "\n\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot|>" }}
{%- if tools_in_user_message and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("No user message for the tools!") }}
    {%- endif %}
    {{- '<|start|>user<|end|>\n\n' -}}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot|>"}}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start|>' + message['role'] + '<|end|>\n\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One tool call at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start|>assistant<|end|>\n\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {%- for arg_name, arg_val in tool_call.arguments | items %}
            {{- arg_name + '="' ~ arg_val ~ '"' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- endif %}
        {%- endfor %}
        {{- "<|eot|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start|>ipython<|end|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\n\n' }}
{%- endif %}
""",
    # One line, several namespaced flags, split of the thought.
    "deepseek manner": r"""{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<|Assistant|><|calls|><|call|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\n' + '```json' + '\n' + (tool['function']['arguments'] if tool['function']['arguments'] is string else tool['function']['arguments']|tojson) + '\n' + '```' + '<|call_end|>'}}{%- set ns.is_first = true -%}{%- else %}{{'\n' + '<|call|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '<|call_end|>'}}{{'<|calls_end|>'}}{%- endif %}{%- endfor %}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{%- if ns.is_tool %}{{'<|outputs_end|>' + message['content'] + eos_token}}{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + content + eos_token}}{%- endif %}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<|outputs|><|output|>' + message['content']|string + '<|output_end|>'}}{%- set ns.is_output_first = false %}{%- else %}{{'\n<|output|>' + message['content']|string + '<|output_end|>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<|outputs_end|>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|><think>\n'}}{% endif %}""",
    # Strict alternation, filtered loops, ids of nine characters, tools before the last user message.
    "mistral manner": r"""{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("Roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call ids are nine characters") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
""",
    # Macros with defaults and recursion, call blocks, filter blocks, set blocks, loop controls, recursive loops, generation.
    "everything": r"""{#- A comment -#}
{% macro kind(spec, depth=0, sep='|') -%}
    {%- if spec.type is string and spec.type == 'array' -%}
        {{ kind(spec['items'] or {'type': 'any'}, depth + 1) }}[]
    {%- elif spec.type == 'object' -%}
        { {%- for name, sub in spec.properties.items() -%}
            {{ name }}{{ '' if name in (spec.required or []) else '?' }}: {{ kind(sub, depth=depth + 1) }}{{ ', ' if not loop.last }}
        {%- endfor -%} }
    {%- elif spec.enum -%}
        {{ spec.enum | map('tojson') | join(sep) }}
    {%- else -%}
        {{ spec.type | default('any') }}
    {%- endif -%}
{%- endmacro %}
{% macro frame(title) %}<{{ title }}>{{ caller() }}</{{ title }}>{% endmacro %}
{% for tool in tools or [] %}
  {% call frame('tool') %}{{ tool.function.name }}({{ kind(tool.function.parameters) }}){% endcall %}

{% else %}
no tools
{% endfor %}
{% set joined %}
{% for m in messages if m.content is string %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}
{% endset %}
counts: {{ joined | trim }} {{ joined | length }}
{% for m in messages %}
{% if loop.index > 5 %}{% break %}{% endif %}
{% if m.role == 'critic' %}{% continue %}{% endif %}
{{ loop.cycle('odd', 'even') }} {{ m.role }}<-{{ loop.previtem.role if loop.previtem is defined else 'start' }}->{{ (loop.nextitem | default({})).role | default('end') }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.changed(m.role) }}
{% if m.role == 'assistant' %}
{% generation %}
  {{ m.content if m.content is not none else 'NONE' }}{{ eos_token -}}
{% endgeneration %}

{% endif %}
{%- endfor %}

{% filter upper %}shout {{ messages | length }}{% endfilter %}

{% with total = messages | length, half = messages | length // 2 %}{{ total }}-{{ half }}{% endwith %}
{% for node in [{'v': 1, 'kids': [{'v': 2, 'kids': []}, {'v': 3, 'kids': [{'v': 4, 'kids': []}]}]}] recursive %}({{ node.v }}@{{ loop.depth }}{{ loop(node.kids) if node.kids }}){% endfor %}

{% raw %}{{ raw }} {% if %}{% endraw %}

{%+ if true %}  kept{%+ endif %}
   {% if true -%}   tight   {%- endif %}
{{ messages | map(attribute='role') | unique | join(',') }} {{- ' joined ' -}} {{ messages | map(attribute='content') | select('string') | map('length') | sum }}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set ns = namespace(x=1, y=[]) %}{% for i in range(3) %}{% set ns.x = ns.x * 2 %}{% set ns.y = ns.y + [i] %}{% endfor %}{{ ns.x }}{{ ns.y }}
{{ bos_token }}{{ pad_token }}{{ unk_token }}|{{ {'role': messages[0].role, 'n': [1, 2.0, none, true]} }}|{{ messages[0] | tojson(indent=2) }}
{% if documents %}{% for doc in documents %}[{{ loop.index }}] {{ doc.title }}: {{ doc['text'] | replace('\n', ' ') }}
{% endfor %}{% else %}documents: {{ documents }} tools: {{ tools is none }}{% endif %}

done
""",
    # The manner of Gemma and of templates that fold parts into text.
    "gemma manner": r"""{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
""",
    # The oldest manner: ternaries and comparisons by index, everything in one expression.
    "llama 2 manner": r"{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    # The manner of agents: nested macros that render types, capitalised literals, format and string tests.
    "agent manner": r"""{%- macro render_args(args) -%}
    {%- for key in args.keys() | sort -%}
        <parameter={{ key }}>
{{ args[key] if args[key] is string else (args[key] | tojson | safe) }}
</parameter>{{ '\n' }}
    {%- endfor -%}
{%- endmacro -%}
{%- macro item_list(items, tag_name) %}
    {%- if items is defined and items is iterable and items is not mapping and items|length > 0 %}
        {%- for x in items %}{{ '<' ~ tag_name ~ '>' ~ x ~ '</' ~ tag_name ~ '>' }}{% endfor %}
    {%- endif %}
{%- endmacro -%}
{%- if messages[0]["role"] == "system" -%}{%- set system = messages[0]["content"] -%}{%- set rest = messages[1:] -%}{%- else -%}{%- set rest = messages -%}{%- endif -%}
{%- if system is defined %}[system]{{ system }}{% elif tools %}[system]You have tools.{% endif %}
{%- if tools is iterable and tools | length > 0 %}
    {%- for tool in tools %}
        {%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
        {{- "\n<function>\n<name>" ~ tool.name ~ "</name>" }}
        {{- '\n<description>' ~ (tool.description | trim) ~ '</description>' if tool.description is defined else '' }}
        {%- if tool.parameters is defined and tool.parameters is mapping and tool.parameters.properties is defined %}
            {%- for param_name, param_fields in tool.parameters.properties|items %}
                {{- '\n<p name="' ~ param_name ~ '">' }}
                {%- for json_key in param_fields.keys() | reject("in", ["type", "description"]) %}
                    {%- set normed = json_key | replace("-", "_") | replace(" ", "_") | replace("$", "") %}
                    {%- if param_fields[json_key] is mapping %}
                        {{- '<' ~ normed ~ '>' ~ (param_fields[json_key] | tojson | safe) ~ '</' ~ normed ~ '>' }}
                    {%- else %}
                        {{- '<' ~ normed ~ '>' ~ (param_fields[json_key] | string) ~ '</' ~ normed ~ '>' }}
                    {%- endif %}
                {%- endfor %}
                {{- item_list(param_fields.enum, 'e') }}
                {{- '</p>' }}
            {%- endfor %}
        {%- endif %}
        {{- "\n</function>" }}
    {%- endfor %}
{%- endif %}
{%- for message in rest %}
    {%- if message.role == "assistant" and message.tool_calls is defined and message.tool_calls is iterable and message.tool_calls | length > 0 %}
        {{- '\n[assistant]' ~ (message.content | default('', True) | trim) }}
        {%- for call in message.tool_calls %}
            {%- set f = call.function if call.function is defined else call -%}
            {{- '<function=' + f.name + '>\n' }}
            {%- if f.arguments is mapping %}{{- render_args(f.arguments) }}{% else %}{{- f.arguments }}{% endif -%}
        {%- endfor %}
    {%- elif message.role in ["user", "assistant"] %}
        {{- '\n[' ~ message.role ~ ']' ~ (message.content if message.content is string else message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('')) }}
    {%- elif message.role == "tool" %}
        {%- if loop.previtem and loop.previtem.role != "tool" %}{{- '\n[results]' }}{% endif %}
        {{- message.content }};
        {%- if not loop.last and loop.nextitem.role != "tool" %}{{- '[/results]' }}{% elif loop.last %}{{- '[/results]' }}{% endif %}
    {%- else %}
        {{- raise_exception("Unexpected role: " ~ message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '\n[assistant]' }}{%- if thinking is defined and thinking %}{{ '<think>' }}{% endif %}{% endif %}""",
}

OPTIONS = [
    {},
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "tools": [WEATHER, ADD]},
    {"add_generation_prompt": True, "variables": {"enable_thinking": False, "thinking": True, "date_string": "1 May 2025", "tools_in_user_message": False}, "tools": [ADD]},
    {"continue_final": True},
    {"documents": [{"title": "T1", "text": "line\nline"}, {"title": "T2", "text": "x"}]},
]


def chats():
    for (name, template), (chat, messages), (number, options) in itertools.product(TEMPLATES.items(), CHATS.items(), enumerate(OPTIONS)):
        if number == 5 and "documents" not in template:
            continue
        case = {"template": name, "chat": chat, "options": number}
        options = dict(options)
        variables = {**TOKENS, **options.pop("variables", {})}
        try:
            case["text"] = rendered(template, messages, **options, **variables)
        except jinja2.exceptions.TemplateError as error:
            plain = type(error) is jinja2.exceptions.TemplateError
            case["refused" if plain else "error"] = str(error) if plain else True
        except Exception:
            case["error"] = True
        yield case


def main():
    cases = list(chats())
    golden = {
        "made_by": f"crates/lm/tests/golden/make_chats.py: transformers {transformers.__version__}, jinja2 {jinja2.__version__}",
        "variables": VARIABLES,
        "expressions": list(expressions()),
        "tokens": TOKENS,
        "templates": TEMPLATES,
        "chats": CHATS,
        "options": OPTIONS,
        "cases": cases,
    }
    text = json.dumps(golden, ensure_ascii=False, indent=1)
    (HERE / "chats.json").write_text(text + "\n", encoding="utf-8")
    kinds = [next(k for k in ("text", "refused", "error") if k in case) for case in cases]
    print({kind: kinds.count(kind) for kind in set(kinds)}, len(golden["expressions"]), "expressions,",
          sum("error" in e for e in golden["expressions"]), "of them errors,", len(text), "characters")


main()
