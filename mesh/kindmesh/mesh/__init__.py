"""Moves signed envelopes between devices: transports, discovery, membership, enrolment, stores and artifacts."""
