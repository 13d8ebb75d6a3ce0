# Generated from _async/__init__.py by generate.py; not to be edited.
"""The client for asyncio. The one for threads is generated from it: generate.py."""
