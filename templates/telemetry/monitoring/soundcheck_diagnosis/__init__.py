"""What a server looks like in this moment, what is wrong with it, and what to change.

Sections collect facts side by side, rules turn facts into findings, and text shows them. Needs nothing but
Python's standard library: it runs on a server in trouble.
"""
