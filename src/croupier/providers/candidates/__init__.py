"""Adapter versions that read along before they go live: a folder each, with the rules and the files of an adapter.

No account can be configured with one of them: accounts take what `providers/adapters` holds. Only the shadow loads
them, in a process of their own.
"""
