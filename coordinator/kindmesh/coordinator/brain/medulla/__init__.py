"""Medulla: the process that holds the issuer's and the permit key, and signs only what the owner's rules allow.

Pure: `rules` (one case, judged), `machine` (what Medulla believes and how each request changes it), `ledger` (the
chained log), `messages` (what travels on its socket). Drivers: `service` (store and keys), `server` (the socket),
`__main__` (the process and its confinement), `client` (how the coordinator asks).
"""
