"""The commitment: a hash of the server seed that the player sees before the bet."""

import hashlib


def commitment_of(server_seed: str) -> str:
    """Hash a server seed as sites publish it: lower-case hex SHA-256 over the seed's *text*.

    Seeds usually look like hex; hashing the bytes they spell is the most frequent error of verifiers.
    """
    return hashlib.sha256(server_seed.encode()).hexdigest()


def is_commitment_kept(*, server_seed: str, server_seed_hash: str) -> bool:
    """Tell whether a revealed seed is the one that was committed to; the case of the hex does not matter."""
    return commitment_of(server_seed) == server_seed_hash.lower()
