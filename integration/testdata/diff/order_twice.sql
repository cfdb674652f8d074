# What was said last of a key that stands twice in ORDER BY decided over the order of groups.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 VARCHAR(8), PRIMARY KEY (k,n))
text: INSERT INTO a VALUES («1»,«1»,«'x'»),(«2»,«2»,«'y'»),(«3»,«3»,«'z'»),(«4»,«4»,«'x'»)
text: SELECT c1, COUNT(*) FROM a GROUP BY c1 ORDER BY c1, c1 DESC
  oracle: SELECT c1, COUNT(*), DENSE_RANK() OVER (ORDER BY c1, c1 DESC) FROM a GROUP BY c1
text: SELECT DISTINCT c1 FROM a ORDER BY c1 DESC, c1
  oracle: SELECT DISTINCT c1, DENSE_RANK() OVER (ORDER BY c1 DESC, c1) FROM a
text: SELECT c1 FROM a ORDER BY c1 DESC, c1
  oracle: SELECT c1, DENSE_RANK() OVER (ORDER BY c1 DESC, c1) FROM a
