"""The fault desk: what goes wrong between a client and the sandbox's CRMs, on order.

``kinds`` names the faults, ``rules`` says which requests one strikes, ``answers``, ``wire``, ``records`` and ``switches`` do it, ``desk``
keeps the list and stands in front of both CRMs.
"""
