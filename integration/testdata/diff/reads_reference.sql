# Reads of reference tables beside sharded ones.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 VARCHAR(20), c2 INT, PRIMARY KEY (k,n))
text: CREATE TABLE r (id INT NOT NULL PRIMARY KEY, c1 VARCHAR(20), c2 INT)
text: INSERT INTO a VALUES (1,1,'a',1),(1,2,'b',2),(2,1,'A',NULL),(3,1,NULL,3),(4,1,'c',1),(5,1,'c',9),(6,1,'a ',2),(6,2,'d',2)
text: INSERT INTO r VALUES (1,'one',1),(2,'two',2),(3,'three',NULL),(4,NULL,1)
text: SELECT * FROM r
text: SELECT COUNT(*), SUM(c2) FROM r
text: SELECT x.c1, y.c1 FROM r x JOIN r y ON x.c2 = y.c2
text: SELECT a.k, a.n, r.c1 FROM a JOIN r ON r.id = a.c2
text: SELECT a.k, a.n, r.c1 FROM r JOIN a ON r.id = a.c2 WHERE a.k = 6
text: SELECT a.k, a.n, r.c1 FROM a LEFT JOIN r ON r.id = a.c2
text: SELECT a.k, r.c1 FROM r LEFT JOIN a ON r.id = a.c2 AND a.k = 6
text: SELECT a.k, r.c1 FROM r RIGHT JOIN a ON r.id = a.c2
text: SELECT r.c1, COUNT(*), SUM(a.n) FROM a JOIN r ON r.id = a.c2 GROUP BY r.c1
text: SELECT r.c1, COUNT(*) AS q FROM a LEFT JOIN r ON r.id = a.c2 GROUP BY r.c1 HAVING q > 1
text: SELECT DISTINCT r.c1 FROM a LEFT JOIN r ON r.id = a.c2
text: SELECT k, n FROM a WHERE c2 IN (SELECT id FROM r WHERE c2 = 1)
text: SELECT k, n FROM a WHERE c2 NOT IN (SELECT c2 FROM r WHERE c2 IS NOT NULL)
text: SELECT k, n, (SELECT MAX(r.c1) FROM r WHERE r.id <= a.c2) AS m FROM a
text: SELECT k, n FROM a WHERE c2 > (SELECT AVG(c2) FROM r)
text: SELECT a.k, d.s FROM a JOIN (SELECT c2, SUM(id) AS s FROM r GROUP BY c2) d ON d.c2 = a.c2
text: SELECT r.c1, d.m FROM r JOIN (SELECT k, MAX(c2) AS m FROM a GROUP BY k) d ON d.m = r.id
text: SELECT COUNT(*) FROM a, r
text: SELECT * FROM r WHERE id IN (SELECT c2 FROM a WHERE k = 6)
text: SELECT a.k, a.n, r.c1 FROM a LEFT JOIN r ON r.id = a.c2 ORDER BY r.c1 DESC, a.k, a.n
  oracle: SELECT a.k, a.n, r.c1, DENSE_RANK() OVER (ORDER BY r.c1 DESC, a.k, a.n) FROM a LEFT JOIN r ON r.id = a.c2
text: SELECT a.k, a.n, r.c1 FROM a LEFT JOIN r ON r.id = a.c2 ORDER BY r.c1 DESC, a.k, a.n LIMIT 5
  oracle: SELECT a.k, a.n, r.c1, DENSE_RANK() OVER (ORDER BY r.c1 DESC, a.k, a.n) FROM a LEFT JOIN r ON r.id = a.c2
  window: 0 5
text: SELECT a.k, a.n, r.c1 FROM a LEFT JOIN r ON r.id = a.c2 ORDER BY r.c1 DESC, a.k, a.n LIMIT 4 OFFSET 3
  oracle: SELECT a.k, a.n, r.c1, DENSE_RANK() OVER (ORDER BY r.c1 DESC, a.k, a.n) FROM a LEFT JOIN r ON r.id = a.c2
  window: 3 4
text: SELECT a.k, r.id FROM a JOIN r ORDER BY r.c1, a.c1, a.k, r.id
  oracle: SELECT a.k, r.id, DENSE_RANK() OVER (ORDER BY r.c1, a.c1, a.k, r.id) FROM a JOIN r
text: SELECT a.k, r.id FROM a JOIN r ORDER BY r.c1, a.c1, a.k, r.id LIMIT 5
  oracle: SELECT a.k, r.id, DENSE_RANK() OVER (ORDER BY r.c1, a.c1, a.k, r.id) FROM a JOIN r
  window: 0 5
text: SELECT a.k, r.id FROM a JOIN r ORDER BY r.c1, a.c1, a.k, r.id LIMIT 4 OFFSET 3
  oracle: SELECT a.k, r.id, DENSE_RANK() OVER (ORDER BY r.c1, a.c1, a.k, r.id) FROM a JOIN r
  window: 3 4
text: BEGIN
text: UPDATE r SET c1 = 'uno' WHERE id = 1
text: SELECT a.k, a.n, r.c1 FROM a JOIN r ON r.id = a.c2
text: SELECT * FROM r FOR UPDATE
text: ROLLBACK
text: SELECT a.k, a.n, r.c1 FROM a JOIN r ON r.id = a.c2
