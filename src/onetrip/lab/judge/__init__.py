"""Two judges. Nothing is timed that is not right.

`isolated` judges sources that nobody has read: oracle, candidate and rivals in processes of their
own, bytes between them (`trial` conducts, `proof` and `race` are its parts, `witness` is the
oracle's mind, `candidate` the harness around a contender, `findings` what the samples say). They
are `forked` from a process that has imported torch (`warm` holds it, `template` is it), or
`started`.
`judge` compares configurations of our own operators in one fresh process, for ``onetrip tune``.
"""
