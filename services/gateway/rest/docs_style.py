"""The style of the documentation page, in light and dark."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #dde2e8; --page: #fff; --card: #f6f8fa;
  --link: #0a58ca; --get: #1a7f4b; --post: #0a58ca; --patch: #96590a; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #323a46; --page: #14181e;
  --card: #1c222b; --link: #7fb0ff; --get: #5fd195; --post: #7fb0ff; --patch: #e6b162; --delete: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 6rem; max-width: 60rem; color: var(--ink); background: var(--page);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.9rem; }
h2 { margin: 3rem 0 .5rem; font-size: 1.4rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
h3 { margin: 0 0 .5rem; font-size: 1.05rem; overflow-wrap: anywhere; }
h4 { margin: 1.25rem 0 .4rem; font-size: .85rem; color: var(--soft); text-transform: uppercase; letter-spacing: .04em; }
p { margin: .4rem 0; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
code, pre { font: .875em/1.5 ui-monospace, monospace; }
article { margin: 1rem 0; padding: 1.1rem 1.25rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; overflow-x: auto; }
article:target { border-color: var(--link); }
nav ul { list-style: none; margin: 1.5rem 0; padding: 0; }
nav li { margin: .2rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
b { color: var(--delete); padding-left: .2em; }
pre { margin: .75rem 0 0; padding: .75rem; background: var(--page); border: 1px solid var(--line); border-radius: .4rem;
  overflow-x: auto; }
.method { display: inline-block; min-width: 4.2em; font: 700 .8rem/1.4 ui-monospace, monospace; }
.get { color: var(--get); } .post { color: var(--post); } .patch { color: var(--patch); }
.delete { color: var(--delete); }
.lock { margin-left: .75rem; font-size: .75rem; font-weight: 400; color: var(--soft); border: 1px solid var(--line);
  border-radius: 1em; padding: .1em .7em; }
"""
