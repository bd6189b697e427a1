"""The reference wallet: an operator's wallet service that keeps the contract, and breaks it on request.

A stranger to the gateway: it shares the signer and what `docs/reference/wallet-contract.md` says, and keeps its
books in a PostgreSQL schema of its own.
"""
