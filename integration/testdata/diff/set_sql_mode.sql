# What MySQL remarks about modes that go only together was lost.
shards: 2
text: SET sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'
text: SHOW WARNINGS
text: SET sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'
text: SHOW COUNT(*) WARNINGS
text: SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'
text: SHOW WARNINGS
text: SET sql_mode = ''
text: SHOW WARNINGS
text: SET sql_mode = DEFAULT
text: SHOW WARNINGS
