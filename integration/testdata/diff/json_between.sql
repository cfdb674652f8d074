# A server says once of a statement that it compares JSON as strings; it was told once for each part.
kinds: mysql
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 JSON NOT NULL, c2 INT, PRIMARY KEY (k,n))
text: INSERT INTO a VALUES («1»,«1»,«'{"a": 1}'»,«1»),(«2»,«2»,«'"x"'»,«2»),(«3»,«3»,«'1'»,«3»)
text: SELECT * FROM a WHERE c1 BETWEEN «'"a"'» AND «'"z"'»
text: SHOW WARNINGS
prepared: UPDATE a SET c2 = «7» WHERE c1 BETWEEN «'"a"'» AND «'"z"'»
check:
