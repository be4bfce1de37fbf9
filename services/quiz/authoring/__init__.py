"""Authoring: how organisers make a contest and its rounds, publish them, and run them, without a developer.

drafts      what is being made, as data          publishing  draws, seals, tells; done again after a crash
checklist   what still stands in the way         running     pause, resume, extend, close
words       the rules in plain words             live        banners, announcements, extra time at hand
sealing     papers and keys until they open      approval    what an approval is bound to
mending     another version of a wrong key       answers     keys, once they are for everyone
pages, round_pages, api, forms   the console
"""
