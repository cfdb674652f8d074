# What a server had warned of before it refused a statement was lost.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 INT, PRIMARY KEY (k,n))
text: SET sql_mode = ''
text: INSERT INTO a VALUES («1»,«1»,«'7x'»)
text: INSERT INTO a VALUES («1»,«2»,«'8x'»),(«1»,«1»,«9»)
text: SHOW WARNINGS
text: SHOW COUNT(*) WARNINGS
text: SHOW ERRORS
prepared: INSERT INTO a VALUES («1»,«2»,«'8x'»),(«1»,«1»,«9»)
text: SHOW WARNINGS
text: BEGIN
text: INSERT INTO a VALUES («2»,«1»,«'5x'»)
prepared: INSERT INTO a VALUES («1»,«3»,«'8x'»),(«1»,«1»,«'9x'»)
text: SHOW WARNINGS
text: INSERT INTO a VALUES («1»,«4»,«'8x'»),(«1»,«1»,«'9x'»)
text: SELECT n FROM a
text: SHOW WARNINGS
text: INSERT INTO a VALUES («1»,«4»,«'8x'»),(«1»,«1»,«'9x'»)
text: SHOW WARNINGS
text: COMMIT
check:
