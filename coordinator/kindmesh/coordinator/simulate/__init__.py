"""Whole households in virtual time, to find what kills, cuts, wrong clocks and full disks do to jobs.

What runs is what is shipped: coordinator, Medulla, nodes, their stores on a disk, the wire. Only the network, the
clocks and the chance are simulated (`kindmesh.mesh.memory`, `kindmesh.mesh.virtual`), and who kills whom.

    history   what happens to a household: typed actions with times, from a seed
    play      makes it happen          world, process, reviewer, household: the household itself
    ledger    what was really done, and what everybody was told; invariants judged while it goes on
    disks     the same, from what is on the disks at the end
    shrink    the shortest history that still shows a violation
    story     what happened to one job, from all journals
    directed  the coordinator killed at every boundary of its journal, one after the other
    run       one seed, or several

Nothing here is imported by what it simulates.
"""
