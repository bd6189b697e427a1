"""The wallet: accounts, postings and the rules of double entry. Source of truth for money."""
