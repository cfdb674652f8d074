# Reads of several shards in every way that is planned: joins by the keys, subqueries, derived tables, groups, orders.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, c2 INT, c3 DECIMAL(10,2), c4 DATETIME, c5 ENUM('z','b','a'), c6 FLOAT, PRIMARY KEY (k,n))
text: CREATE TABLE b (k INT NOT NULL, n INT NOT NULL, c1 VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, c2 INT, PRIMARY KEY (k,n))
text: INSERT INTO a VALUES (0,0,'a ',3,100,NULL,'z',1.0000001),(0,1,'A',2,0.01,NULL,'b',NULL),(2,0,'',NULL,1.50,NULL,NULL,NULL),(2,1,'a\t',-1,NULL,'2024-01-31 10:00:00','z',1.0000001),(2,2,'ß',3,NULL,'2024-01-31 10:00:00','z',1.0000001),(3,0,'b',3,1.50,NULL,'a',1.0000001),(4,0,'A',-1,0.01,'2024-01-31 10:00:00','a',NULL),(5,0,'zz',NULL,0.01,NULL,'b',-2.5),(5,1,'abc',-1,-3.10,'2024-02-29 00:00:00',NULL,1.0000001)
text: INSERT INTO a VALUES (5,2,' ',2,2.25,'2024-01-31 10:00:00','b',0.1),(5,3,'A',-1,2.25,'2023-12-31 23:59:59','a',-2.5),(6,0,'ß',NULL,NULL,'2023-12-31 23:59:59','b',1e10),(6,1,'a ',3,-3.10,NULL,'z',1.0000001),(7,0,NULL,2,2.25,'2024-02-29 00:00:00',NULL,1.0000001),(7,1,NULL,3,NULL,NULL,'a',-2.5),(7,2,'zz',10,NULL,NULL,'a',1.0000001),(7,3,'abc',3,2.25,'2023-12-31 23:59:59','a',NULL),(8,0,'B ',1,0.01,NULL,NULL,NULL)
text: INSERT INTO a VALUES (8,1,'ä',2,1.50,'2024-01-31 10:00:00',NULL,-2.5),(8,2,'a\t',3,NULL,'2024-01-31 10:00:00',NULL,-2.5),(9,0,'b',1,-3.10,'2024-02-29 00:00:00',NULL,1e10),(9,1,'abc',3,1.50,'2024-01-31 10:00:00','z',0.1),(9,2,'a ',1,100,'2024-01-31 10:00:00','z',-2.5),(9,3,'a\t',-1,1.50,'2024-02-29 00:00:00','a',NULL),(10,0,'',-1,2.25,'2024-02-29 00:00:00','b',1.0000001),(11,0,'abc',10,100,NULL,NULL,1.0000001),(11,1,'',3,-3.10,'2023-12-31 23:59:59','z',-2.5)
text: INSERT INTO a VALUES (11,2,'abc',3,NULL,'2024-01-31 10:00:00','z',0.1),(11,3,' ',1,NULL,'2024-02-29 00:00:00','z',NULL)
text: INSERT INTO b VALUES (1,0,'ss',NULL),(2,0,'ß',NULL),(2,1,'A',1),(3,0,'a ',2),(3,1,'B ',2),(3,2,' ',NULL),(5,0,' ',3),(5,1,' ',2),(5,2,'A',1)
text: INSERT INTO b VALUES (7,0,'zz',2),(7,1,' ',1),(9,0,'ss',2),(10,0,'zz',NULL),(11,0,'abc',NULL),(11,1,'zz',2),(12,0,'a ',2),(12,1,NULL,1),(13,0,'abc',1)
text: INSERT INTO b VALUES (13,1,'ß',1)
text: SELECT x.n, y.n FROM a x JOIN b y ON x.k = y.k
text: SELECT x.n, y.n FROM a x JOIN b y USING (k) WHERE k = 3
text: SELECT * FROM a JOIN b USING (k)
text: SELECT * FROM a LEFT JOIN b USING (k, n)
text: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k AND y.c2 = 1
text: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k AND y.k = 3
text: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k WHERE y.k IS NULL
text: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k WHERE y.k <=> NULL
text: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k WHERE y.k = 3 OR y.k = 4
text: SELECT x.k, y.n FROM a x RIGHT JOIN b y ON x.k = y.k
text: SELECT x.k, y.k, z.k FROM (a x LEFT JOIN b y ON x.k = y.k AND x.n = y.n) JOIN a z ON z.k = y.k
text: SELECT x.k, y.k, z.n FROM a x LEFT JOIN (b y JOIN a z ON z.k = y.k AND z.n = 1) ON x.k = y.k
text: SELECT x.k, y.k FROM a x, b y WHERE x.k = 3 AND y.k = 3
text: SELECT x.k, y.k FROM a x LEFT JOIN b y ON x.n = y.n AND y.k = 3 WHERE x.k = 3
text: SELECT y.k, COUNT(*), COUNT(y.n) FROM a x LEFT JOIN b y ON x.k = y.k GROUP BY y.k
text: SELECT x.k, COUNT(*), COUNT(DISTINCT y.c1), GROUP_CONCAT(y.n ORDER BY y.n) FROM a x LEFT JOIN b y ON x.k = y.k GROUP BY x.k HAVING COUNT(DISTINCT y.n) < 3
text: SELECT DISTINCT y.k FROM a x LEFT JOIN b y ON x.k = y.k
text: SELECT COUNT(DISTINCT y.k), COUNT(DISTINCT x.k), SUM(DISTINCT x.k), AVG(DISTINCT x.k) FROM a x LEFT JOIN b y ON x.k = y.k
text: SELECT x.c2, SUM(y.c2), AVG(x.c3), MIN(y.c1), MAX(x.c4) FROM a x JOIN b y ON x.k = y.k GROUP BY x.c2
  loose: 3=utf8mb4_bin
text: SELECT k, n FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.c2 > 1)
text: SELECT k, n FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k)
text: SELECT k, n FROM a WHERE k IN (SELECT k FROM b WHERE c2 = 1)
text: SELECT k, n FROM a WHERE k NOT IN (SELECT k FROM b WHERE c2 = 1)
text: SELECT k, n FROM a WHERE k IN (SELECT k FROM b GROUP BY k HAVING COUNT(*) > 1)
text: SELECT k, n, (SELECT MAX(b.c2) FROM b WHERE b.k = a.k) AS m FROM a
text: SELECT k, (SELECT COUNT(*) FROM b WHERE b.k = a.k AND b.n > a.n) AS m FROM a WHERE k < 5
text: SELECT c2, COUNT(*) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k) GROUP BY c2
text: SELECT COUNT(*) FROM (SELECT * FROM a WHERE c2 > 1) d
text: SELECT COUNT(*) FROM (SELECT DISTINCT k FROM a) d
text: SELECT d.m, COUNT(*) FROM (SELECT k, MAX(c2) AS m FROM a GROUP BY k) d GROUP BY d.m
text: SELECT d.k, d.m FROM (SELECT k, COUNT(*) AS m FROM a GROUP BY k) d WHERE d.m > 1
text: SELECT * FROM b LEFT JOIN (SELECT k, SUM(c2) AS s FROM a GROUP BY k) d USING (k)
text: SELECT d.z, b.n FROM (SELECT k AS z, n FROM a WHERE c2 = 1) d JOIN b ON b.k = d.z
text: SELECT d.y, COUNT(*), MIN(d.c1) FROM (SELECT DATE_FORMAT(c4, '%Y-%m') AS y, c1 FROM a) d GROUP BY d.y
  loose: 2=utf8mb4_unicode_ci
text: SELECT k FROM a WHERE k = 3 UNION SELECT k FROM b WHERE k = 3
text: SELECT c1, COUNT(*) FROM a GROUP BY c1
  loose: 0=utf8mb4_unicode_ci
text: SELECT c1 COLLATE utf8mb4_bin, COUNT(*) FROM a GROUP BY 1
  loose: 0=utf8mb4_bin
text: SELECT UPPER(c1) AS u, COUNT(*) FROM a GROUP BY u
  loose: 0=utf8mb4_unicode_ci
text: SELECT CONCAT(c1, '-', c2) AS u, COUNT(*) FROM a GROUP BY u
  loose: 0=utf8mb4_unicode_ci
text: SELECT YEAR(c4) AS y, MONTH(c4) AS m, COUNT(*), SUM(c3) FROM a GROUP BY y, m
text: SELECT DATE_FORMAT(c4, '%Y-%m') AS m, COUNT(*) FROM a GROUP BY m HAVING COUNT(*) > 1
text: SELECT c5, COUNT(*), AVG(c2) FROM a GROUP BY c5
text: SELECT c6, COUNT(*) FROM a GROUP BY c6
text: SELECT c2, c5, COUNT(*), MIN(c3), MAX(c6), MIN(c4) FROM a GROUP BY c5, c2
text: SELECT c2 + 1 AS p, COUNT(*) FROM a GROUP BY p HAVING p > 1 AND COUNT(*) > 1
text: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 HAVING q BETWEEN 2 AND 4 OR c2 IS NULL
text: SELECT c1, COUNT(*) FROM a GROUP BY c1 HAVING c1 > 'a' AND COUNT(*) > 1
  loose: 0=utf8mb4_unicode_ci
text: SELECT COUNT(*), SUM(c2), AVG(c2), MIN(c1), MAX(c1), SUM(c3), AVG(c3), MIN(c4), MAX(c6) FROM a
  loose: 3=utf8mb4_unicode_ci 4=utf8mb4_unicode_ci
text: SELECT COUNT(*), SUM(c2), AVG(c2), MIN(c1), MAX(c1) FROM a WHERE k > 100
  loose: 3=utf8mb4_unicode_ci 4=utf8mb4_unicode_ci
text: SELECT COUNT(*) AS q FROM a HAVING q > 5
text: SELECT COUNT(*) AS q FROM a HAVING q > 500
text: SELECT IFNULL(SUM(c2), 0), COALESCE(MAX(c2), -1), COALESCE(MIN(c1), 'none'), IFNULL(AVG(c3), 0.00) FROM a
  loose: 2=utf8mb4_unicode_ci
text: SELECT IFNULL(SUM(c2), 0), COALESCE(MAX(c2), -1), COALESCE(MIN(c1), 'none'), IFNULL(AVG(c3), 0.00) FROM a WHERE k = -1 OR k > 200
  loose: 2=utf8mb4_unicode_ci
text: SELECT c2, IFNULL(SUM(c3), 0), COALESCE(MIN(c1), '') FROM a GROUP BY c2
  loose: 2=utf8mb4_unicode_ci
text: SELECT DISTINCT c1 FROM a
  loose: 0=utf8mb4_unicode_ci
text: SELECT DISTINCT c5, c2 FROM a
text: SELECT DISTINCT c6 FROM a
text: SELECT DISTINCT UPPER(c1) FROM a
  loose: 0=utf8mb4_unicode_ci
text: SELECT DISTINCT k, c1 FROM a
  loose: 1=utf8mb4_unicode_ci
text: SELECT DISTINCT COUNT(*) FROM a GROUP BY k
text: SELECT DISTINCT 'x' FROM a
text: SELECT * FROM a WHERE (k, n) = (3, 1)
text: SELECT * FROM a WHERE (k, n) IN ((3, 1), (4, 0), (5, 2))
text: SELECT * FROM a WHERE k = 3 OR k = 4 AND n = 0
text: SELECT * FROM a WHERE k <=> 3
text: SELECT * FROM a WHERE k <=> NULL
text: SELECT * FROM a LIMIT 0
text: SELECT COUNT(*) FROM a LIMIT 1 OFFSET 1
text: SELECT c2, COUNT(*) FROM a GROUP BY c2 LIMIT 0
text: SELECT k, n FROM a ORDER BY c1, k DESC, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c1, k DESC, n) FROM a
text: SELECT k, n FROM a ORDER BY c1, k DESC, n LIMIT 5
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c1, k DESC, n) FROM a
  window: 0 5
text: SELECT k, n FROM a ORDER BY c1, k DESC, n LIMIT 4 OFFSET 3
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c1, k DESC, n) FROM a
  window: 3 4
text: SELECT k, n, c1 FROM a ORDER BY c1 DESC, n, k
  oracle: SELECT k, n, c1, DENSE_RANK() OVER (ORDER BY c1 DESC, n, k) FROM a
text: SELECT k, n, c1 FROM a ORDER BY c1 DESC, n, k LIMIT 5
  oracle: SELECT k, n, c1, DENSE_RANK() OVER (ORDER BY c1 DESC, n, k) FROM a
  window: 0 5
text: SELECT k, n, c1 FROM a ORDER BY c1 DESC, n, k LIMIT 4 OFFSET 3
  oracle: SELECT k, n, c1, DENSE_RANK() OVER (ORDER BY c1 DESC, n, k) FROM a
  window: 3 4
text: SELECT * FROM a ORDER BY c5, c6 DESC, k, n
  oracle: SELECT *, DENSE_RANK() OVER (ORDER BY c5, c6 DESC, k, n) FROM a
text: SELECT * FROM a ORDER BY c5, c6 DESC, k, n LIMIT 5
  oracle: SELECT *, DENSE_RANK() OVER (ORDER BY c5, c6 DESC, k, n) FROM a
  window: 0 5
text: SELECT * FROM a ORDER BY c5, c6 DESC, k, n LIMIT 4 OFFSET 3
  oracle: SELECT *, DENSE_RANK() OVER (ORDER BY c5, c6 DESC, k, n) FROM a
  window: 3 4
text: SELECT k AS z, n FROM a ORDER BY z DESC, n
  oracle: SELECT k AS z, n, DENSE_RANK() OVER (ORDER BY k DESC, n) FROM a
text: SELECT k AS z, n FROM a ORDER BY z DESC, n LIMIT 5
  oracle: SELECT k AS z, n, DENSE_RANK() OVER (ORDER BY k DESC, n) FROM a
  window: 0 5
text: SELECT k AS z, n FROM a ORDER BY z DESC, n LIMIT 4 OFFSET 3
  oracle: SELECT k AS z, n, DENSE_RANK() OVER (ORDER BY k DESC, n) FROM a
  window: 3 4
text: SELECT n, k FROM a ORDER BY c3 DESC, c4, k, n
  oracle: SELECT n, k, DENSE_RANK() OVER (ORDER BY c3 DESC, c4, k, n) FROM a
text: SELECT n, k FROM a ORDER BY c3 DESC, c4, k, n LIMIT 5
  oracle: SELECT n, k, DENSE_RANK() OVER (ORDER BY c3 DESC, c4, k, n) FROM a
  window: 0 5
text: SELECT n, k FROM a ORDER BY c3 DESC, c4, k, n LIMIT 4 OFFSET 3
  oracle: SELECT n, k, DENSE_RANK() OVER (ORDER BY c3 DESC, c4, k, n) FROM a
  window: 3 4
text: SELECT k, c1 FROM a ORDER BY c1 COLLATE utf8mb4_bin, k, n
  oracle: SELECT k, c1, DENSE_RANK() OVER (ORDER BY c1 COLLATE utf8mb4_bin, k, n) FROM a
text: SELECT k, c1 FROM a ORDER BY c1 COLLATE utf8mb4_bin, k, n LIMIT 5
  oracle: SELECT k, c1, DENSE_RANK() OVER (ORDER BY c1 COLLATE utf8mb4_bin, k, n) FROM a
  window: 0 5
text: SELECT k, c1 FROM a ORDER BY c1 COLLATE utf8mb4_bin, k, n LIMIT 4 OFFSET 3
  oracle: SELECT k, c1, DENSE_RANK() OVER (ORDER BY c1 COLLATE utf8mb4_bin, k, n) FROM a
  window: 3 4
text: SELECT k, n FROM a ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n) FROM a
text: SELECT k, n FROM a ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n LIMIT 5
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n) FROM a
  window: 0 5
text: SELECT k, n FROM a ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n LIMIT 4 OFFSET 3
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n) FROM a
  window: 3 4
text: SELECT x.k, x.n, y.n FROM a x JOIN b y ON x.k = y.k ORDER BY y.c1, x.n, y.n DESC, x.k
  oracle: SELECT x.k, x.n, y.n, DENSE_RANK() OVER (ORDER BY y.c1, x.n, y.n DESC, x.k) FROM a x JOIN b y ON x.k = y.k
text: SELECT x.k, x.n, y.n FROM a x JOIN b y ON x.k = y.k ORDER BY y.c1, x.n, y.n DESC, x.k LIMIT 5
  oracle: SELECT x.k, x.n, y.n, DENSE_RANK() OVER (ORDER BY y.c1, x.n, y.n DESC, x.k) FROM a x JOIN b y ON x.k = y.k
  window: 0 5
text: SELECT x.k, x.n, y.n FROM a x JOIN b y ON x.k = y.k ORDER BY y.c1, x.n, y.n DESC, x.k LIMIT 4 OFFSET 3
  oracle: SELECT x.k, x.n, y.n, DENSE_RANK() OVER (ORDER BY y.c1, x.n, y.n DESC, x.k) FROM a x JOIN b y ON x.k = y.k
  window: 3 4
text: SELECT k, n FROM a ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n) FROM a
text: SELECT k, n FROM a ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n LIMIT 5
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n) FROM a
  window: 0 5
text: SELECT k, n FROM a ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n LIMIT 4 OFFSET 3
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n) FROM a
  window: 3 4
text: SELECT k, n FROM a ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n) FROM a
text: SELECT k, n FROM a ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n LIMIT 5
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n) FROM a
  window: 0 5
text: SELECT k, n FROM a ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n LIMIT 4 OFFSET 3
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n) FROM a
  window: 3 4
text: SELECT c2, COUNT(*) FROM a GROUP BY c2 ORDER BY c2 DESC
  oracle: SELECT c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2 DESC) FROM a GROUP BY c2
text: SELECT c2, COUNT(*) FROM a GROUP BY c2 ORDER BY c2 DESC LIMIT 3
  oracle: SELECT c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2 DESC) FROM a GROUP BY c2
  window: 0 3
text: SELECT c2, COUNT(*) FROM a GROUP BY c2 ORDER BY c2 DESC LIMIT 2 OFFSET 1
  oracle: SELECT c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2 DESC) FROM a GROUP BY c2
  window: 1 2
text: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 ORDER BY COUNT(*) DESC, c2
  oracle: SELECT c2, COUNT(*) AS q, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC, c2) FROM a GROUP BY c2
text: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 ORDER BY COUNT(*) DESC, c2 LIMIT 3
  oracle: SELECT c2, COUNT(*) AS q, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC, c2) FROM a GROUP BY c2
  window: 0 3
text: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 ORDER BY COUNT(*) DESC, c2 LIMIT 2 OFFSET 1
  oracle: SELECT c2, COUNT(*) AS q, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC, c2) FROM a GROUP BY c2
  window: 1 2
text: SELECT c5, SUM(c2) FROM a GROUP BY c5 ORDER BY SUM(c2), c5
  oracle: SELECT c5, SUM(c2), DENSE_RANK() OVER (ORDER BY SUM(c2), c5) FROM a GROUP BY c5
text: SELECT c5, SUM(c2) FROM a GROUP BY c5 ORDER BY SUM(c2), c5 LIMIT 3
  oracle: SELECT c5, SUM(c2), DENSE_RANK() OVER (ORDER BY SUM(c2), c5) FROM a GROUP BY c5
  window: 0 3
text: SELECT c5, SUM(c2) FROM a GROUP BY c5 ORDER BY SUM(c2), c5 LIMIT 2 OFFSET 1
  oracle: SELECT c5, SUM(c2), DENSE_RANK() OVER (ORDER BY SUM(c2), c5) FROM a GROUP BY c5
  window: 1 2
text: SELECT c5, MAX(c1) FROM a GROUP BY c5 ORDER BY MAX(c1), c5 DESC
  oracle: SELECT c5, MAX(c1), DENSE_RANK() OVER (ORDER BY MAX(c1), c5 DESC) FROM a GROUP BY c5
  loose: 1=utf8mb4_unicode_ci
text: SELECT c5, MAX(c1) FROM a GROUP BY c5 ORDER BY MAX(c1), c5 DESC LIMIT 3
  oracle: SELECT c5, MAX(c1), DENSE_RANK() OVER (ORDER BY MAX(c1), c5 DESC) FROM a GROUP BY c5
  window: 0 3
  loose: 1=utf8mb4_unicode_ci
text: SELECT c5, MAX(c1) FROM a GROUP BY c5 ORDER BY MAX(c1), c5 DESC LIMIT 2 OFFSET 1
  oracle: SELECT c5, MAX(c1), DENSE_RANK() OVER (ORDER BY MAX(c1), c5 DESC) FROM a GROUP BY c5
  window: 1 2
  loose: 1=utf8mb4_unicode_ci
text: SELECT c5, c2, COUNT(*) FROM a GROUP BY c5, c2 ORDER BY c2, c5 DESC
  oracle: SELECT c5, c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2, c5 DESC) FROM a GROUP BY c5, c2
text: SELECT c5, c2, COUNT(*) FROM a GROUP BY c5, c2 ORDER BY c2, c5 DESC LIMIT 3
  oracle: SELECT c5, c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2, c5 DESC) FROM a GROUP BY c5, c2
  window: 0 3
text: SELECT c5, c2, COUNT(*) FROM a GROUP BY c5, c2 ORDER BY c2, c5 DESC LIMIT 2 OFFSET 1
  oracle: SELECT c5, c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2, c5 DESC) FROM a GROUP BY c5, c2
  window: 1 2
text: SELECT k, COUNT(*), MAX(c3) FROM a GROUP BY k ORDER BY MAX(c3) DESC, k
  oracle: SELECT k, COUNT(*), MAX(c3), DENSE_RANK() OVER (ORDER BY MAX(c3) DESC, k) FROM a GROUP BY k
text: SELECT k, COUNT(*), MAX(c3) FROM a GROUP BY k ORDER BY MAX(c3) DESC, k LIMIT 3
  oracle: SELECT k, COUNT(*), MAX(c3), DENSE_RANK() OVER (ORDER BY MAX(c3) DESC, k) FROM a GROUP BY k
  window: 0 3
text: SELECT k, COUNT(*), MAX(c3) FROM a GROUP BY k ORDER BY MAX(c3) DESC, k LIMIT 2 OFFSET 1
  oracle: SELECT k, COUNT(*), MAX(c3), DENSE_RANK() OVER (ORDER BY MAX(c3) DESC, k) FROM a GROUP BY k
  window: 1 2
text: SELECT YEAR(c4), COUNT(*) FROM a GROUP BY YEAR(c4) ORDER BY YEAR(c4) DESC
  oracle: SELECT YEAR(c4), COUNT(*), DENSE_RANK() OVER (ORDER BY YEAR(c4) DESC) FROM a GROUP BY YEAR(c4)
text: SELECT YEAR(c4), COUNT(*) FROM a GROUP BY YEAR(c4) ORDER BY YEAR(c4) DESC LIMIT 3
  oracle: SELECT YEAR(c4), COUNT(*), DENSE_RANK() OVER (ORDER BY YEAR(c4) DESC) FROM a GROUP BY YEAR(c4)
  window: 0 3
text: SELECT YEAR(c4), COUNT(*) FROM a GROUP BY YEAR(c4) ORDER BY YEAR(c4) DESC LIMIT 2 OFFSET 1
  oracle: SELECT YEAR(c4), COUNT(*), DENSE_RANK() OVER (ORDER BY YEAR(c4) DESC) FROM a GROUP BY YEAR(c4)
  window: 1 2
text: SELECT c2, AVG(c3) FROM a GROUP BY c2 ORDER BY AVG(c3), c2
  oracle: SELECT c2, AVG(c3), DENSE_RANK() OVER (ORDER BY AVG(c3), c2) FROM a GROUP BY c2
text: SELECT c2, AVG(c3) FROM a GROUP BY c2 ORDER BY AVG(c3), c2 LIMIT 3
  oracle: SELECT c2, AVG(c3), DENSE_RANK() OVER (ORDER BY AVG(c3), c2) FROM a GROUP BY c2
  window: 0 3
text: SELECT c2, AVG(c3) FROM a GROUP BY c2 ORDER BY AVG(c3), c2 LIMIT 2 OFFSET 1
  oracle: SELECT c2, AVG(c3), DENSE_RANK() OVER (ORDER BY AVG(c3), c2) FROM a GROUP BY c2
  window: 1 2
# The same in the binary protocol, with parameters.
prepared: SELECT x.n, y.n FROM a x JOIN b y ON x.k = y.k
prepared: SELECT x.n, y.n FROM a x JOIN b y USING (k) WHERE k = «3»
prepared: SELECT * FROM a JOIN b USING (k)
prepared: SELECT * FROM a LEFT JOIN b USING (k, n)
prepared: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k AND y.c2 = 1
prepared: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k AND y.k = 3
prepared: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k WHERE y.k IS NULL
prepared: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k WHERE y.k <=> NULL
prepared: SELECT x.k, y.n FROM a x LEFT JOIN b y ON x.k = y.k WHERE y.k = 3 OR y.k = 4
prepared: SELECT x.k, y.n FROM a x RIGHT JOIN b y ON x.k = y.k
prepared: SELECT x.k, y.k, z.k FROM (a x LEFT JOIN b y ON x.k = y.k AND x.n = y.n) JOIN a z ON z.k = y.k
prepared: SELECT x.k, y.k, z.n FROM a x LEFT JOIN (b y JOIN a z ON z.k = y.k AND z.n = 1) ON x.k = y.k
prepared: SELECT x.k, y.k FROM a x, b y WHERE x.k = 3 AND y.k = 3
prepared: SELECT x.k, y.k FROM a x LEFT JOIN b y ON x.n = y.n AND y.k = 3 WHERE x.k = 3
prepared: SELECT y.k, COUNT(*), COUNT(y.n) FROM a x LEFT JOIN b y ON x.k = y.k GROUP BY y.k
prepared: SELECT x.k, COUNT(*), COUNT(DISTINCT y.c1), GROUP_CONCAT(y.n ORDER BY y.n) FROM a x LEFT JOIN b y ON x.k = y.k GROUP BY x.k HAVING COUNT(DISTINCT y.n) < 3
prepared: SELECT DISTINCT y.k FROM a x LEFT JOIN b y ON x.k = y.k
prepared: SELECT COUNT(DISTINCT y.k), COUNT(DISTINCT x.k), SUM(DISTINCT x.k), AVG(DISTINCT x.k) FROM a x LEFT JOIN b y ON x.k = y.k
prepared: SELECT x.c2, SUM(y.c2), AVG(x.c3), MIN(y.c1), MAX(x.c4) FROM a x JOIN b y ON x.k = y.k GROUP BY x.c2
  loose: 3=utf8mb4_bin
prepared: SELECT k, n FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.c2 > «1»)
prepared: SELECT k, n FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k)
prepared: SELECT k, n FROM a WHERE k IN (SELECT k FROM b WHERE c2 = 1)
prepared: SELECT k, n FROM a WHERE k NOT IN (SELECT k FROM b WHERE c2 = 1)
prepared: SELECT k, n FROM a WHERE k IN (SELECT k FROM b GROUP BY k HAVING COUNT(*) > «1»)
prepared: SELECT k, n, (SELECT MAX(b.c2) FROM b WHERE b.k = a.k) AS m FROM a
prepared: SELECT k, (SELECT COUNT(*) FROM b WHERE b.k = a.k AND b.n > a.n) AS m FROM a WHERE k < 5
prepared: SELECT c2, COUNT(*) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k) GROUP BY c2
prepared: SELECT COUNT(*) FROM (SELECT * FROM a WHERE c2 > «1») d
prepared: SELECT COUNT(*) FROM (SELECT DISTINCT k FROM a) d
prepared: SELECT d.m, COUNT(*) FROM (SELECT k, MAX(c2) AS m FROM a GROUP BY k) d GROUP BY d.m
prepared: SELECT d.k, d.m FROM (SELECT k, COUNT(*) AS m FROM a GROUP BY k) d WHERE d.m > 1
prepared: SELECT * FROM b LEFT JOIN (SELECT k, SUM(c2) AS s FROM a GROUP BY k) d USING (k)
prepared: SELECT d.z, b.n FROM (SELECT k AS z, n FROM a WHERE c2 = 1) d JOIN b ON b.k = d.z
prepared: SELECT d.y, COUNT(*), MIN(d.c1) FROM (SELECT DATE_FORMAT(c4, '%Y-%m') AS y, c1 FROM a) d GROUP BY d.y
  loose: 2=utf8mb4_unicode_ci
prepared: SELECT k FROM a WHERE k = «3» UNION SELECT k FROM b WHERE k = «3»
prepared: SELECT c1, COUNT(*) FROM a GROUP BY c1
  loose: 0=utf8mb4_unicode_ci
prepared: SELECT c1 COLLATE utf8mb4_bin, COUNT(*) FROM a GROUP BY 1
  loose: 0=utf8mb4_bin
prepared: SELECT UPPER(c1) AS u, COUNT(*) FROM a GROUP BY u
  loose: 0=utf8mb4_unicode_ci
prepared: SELECT CONCAT(c1, '-', c2) AS u, COUNT(*) FROM a GROUP BY u
  loose: 0=utf8mb4_unicode_ci
prepared: SELECT YEAR(c4) AS y, MONTH(c4) AS m, COUNT(*), SUM(c3) FROM a GROUP BY y, m
prepared: SELECT DATE_FORMAT(c4, '%Y-%m') AS m, COUNT(*) FROM a GROUP BY m HAVING COUNT(*) > «1»
prepared: SELECT c5, COUNT(*), AVG(c2) FROM a GROUP BY c5
prepared: SELECT c6, COUNT(*) FROM a GROUP BY c6
prepared: SELECT c2, c5, COUNT(*), MIN(c3), MAX(c6), MIN(c4) FROM a GROUP BY c5, c2
prepared: SELECT c2 + 1 AS p, COUNT(*) FROM a GROUP BY p HAVING p > 1 AND COUNT(*) > 1
prepared: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 HAVING q BETWEEN 2 AND 4 OR c2 IS NULL
prepared: SELECT c1, COUNT(*) FROM a GROUP BY c1 HAVING c1 > 'a' AND COUNT(*) > 1
  loose: 0=utf8mb4_unicode_ci
prepared: SELECT COUNT(*), SUM(c2), AVG(c2), MIN(c1), MAX(c1), SUM(c3), AVG(c3), MIN(c4), MAX(c6) FROM a
  loose: 3=utf8mb4_unicode_ci 4=utf8mb4_unicode_ci
prepared: SELECT COUNT(*), SUM(c2), AVG(c2), MIN(c1), MAX(c1) FROM a WHERE k > 100
  loose: 3=utf8mb4_unicode_ci 4=utf8mb4_unicode_ci
prepared: SELECT COUNT(*) AS q FROM a HAVING q > «5»
prepared: SELECT COUNT(*) AS q FROM a HAVING q > «500»
prepared: SELECT IFNULL(SUM(c2), 0), COALESCE(MAX(c2), -1), COALESCE(MIN(c1), 'none'), IFNULL(AVG(c3), 0.00) FROM a
  loose: 2=utf8mb4_unicode_ci
prepared: SELECT IFNULL(SUM(c2), 0), COALESCE(MAX(c2), -1), COALESCE(MIN(c1), 'none'), IFNULL(AVG(c3), 0.00) FROM a WHERE k = -1 OR k > 200
  loose: 2=utf8mb4_unicode_ci
prepared: SELECT c2, IFNULL(SUM(c3), 0), COALESCE(MIN(c1), '') FROM a GROUP BY c2
  loose: 2=utf8mb4_unicode_ci
prepared: SELECT DISTINCT c1 FROM a
  loose: 0=utf8mb4_unicode_ci
prepared: SELECT DISTINCT c5, c2 FROM a
prepared: SELECT DISTINCT c6 FROM a
prepared: SELECT DISTINCT UPPER(c1) FROM a
  loose: 0=utf8mb4_unicode_ci
prepared: SELECT DISTINCT k, c1 FROM a
  loose: 1=utf8mb4_unicode_ci
prepared: SELECT DISTINCT COUNT(*) FROM a GROUP BY k
prepared: SELECT DISTINCT 'x' FROM a
prepared: SELECT * FROM a WHERE (k, n) = (3, 1)
prepared: SELECT * FROM a WHERE (k, n) IN ((3, 1), (4, 0), (5, 2))
prepared: SELECT * FROM a WHERE k = «3» OR k = 4 AND n = 0
prepared: SELECT * FROM a WHERE k <=> 3
prepared: SELECT * FROM a WHERE k <=> NULL
prepared: SELECT * FROM a LIMIT «0»
prepared: SELECT COUNT(*) FROM a LIMIT «1» OFFSET «1»
prepared: SELECT c2, COUNT(*) FROM a GROUP BY c2 LIMIT «0»
prepared: SELECT k, n FROM a ORDER BY c1, k DESC, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c1, k DESC, n) FROM a
prepared: SELECT k, n FROM a ORDER BY c1, k DESC, n LIMIT «5»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c1, k DESC, n) FROM a
  window: 0 5
prepared: SELECT k, n FROM a ORDER BY c1, k DESC, n LIMIT «4» OFFSET «3»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c1, k DESC, n) FROM a
  window: 3 4
prepared: SELECT k, n, c1 FROM a ORDER BY c1 DESC, n, k
  oracle: SELECT k, n, c1, DENSE_RANK() OVER (ORDER BY c1 DESC, n, k) FROM a
prepared: SELECT k, n, c1 FROM a ORDER BY c1 DESC, n, k LIMIT «5»
  oracle: SELECT k, n, c1, DENSE_RANK() OVER (ORDER BY c1 DESC, n, k) FROM a
  window: 0 5
prepared: SELECT k, n, c1 FROM a ORDER BY c1 DESC, n, k LIMIT «4» OFFSET «3»
  oracle: SELECT k, n, c1, DENSE_RANK() OVER (ORDER BY c1 DESC, n, k) FROM a
  window: 3 4
prepared: SELECT * FROM a ORDER BY c5, c6 DESC, k, n
  oracle: SELECT *, DENSE_RANK() OVER (ORDER BY c5, c6 DESC, k, n) FROM a
prepared: SELECT * FROM a ORDER BY c5, c6 DESC, k, n LIMIT «5»
  oracle: SELECT *, DENSE_RANK() OVER (ORDER BY c5, c6 DESC, k, n) FROM a
  window: 0 5
prepared: SELECT * FROM a ORDER BY c5, c6 DESC, k, n LIMIT «4» OFFSET «3»
  oracle: SELECT *, DENSE_RANK() OVER (ORDER BY c5, c6 DESC, k, n) FROM a
  window: 3 4
prepared: SELECT k AS z, n FROM a ORDER BY z DESC, n
  oracle: SELECT k AS z, n, DENSE_RANK() OVER (ORDER BY k DESC, n) FROM a
prepared: SELECT k AS z, n FROM a ORDER BY z DESC, n LIMIT «5»
  oracle: SELECT k AS z, n, DENSE_RANK() OVER (ORDER BY k DESC, n) FROM a
  window: 0 5
prepared: SELECT k AS z, n FROM a ORDER BY z DESC, n LIMIT «4» OFFSET «3»
  oracle: SELECT k AS z, n, DENSE_RANK() OVER (ORDER BY k DESC, n) FROM a
  window: 3 4
prepared: SELECT n, k FROM a ORDER BY c3 DESC, c4, k, n
  oracle: SELECT n, k, DENSE_RANK() OVER (ORDER BY c3 DESC, c4, k, n) FROM a
prepared: SELECT n, k FROM a ORDER BY c3 DESC, c4, k, n LIMIT «5»
  oracle: SELECT n, k, DENSE_RANK() OVER (ORDER BY c3 DESC, c4, k, n) FROM a
  window: 0 5
prepared: SELECT n, k FROM a ORDER BY c3 DESC, c4, k, n LIMIT «4» OFFSET «3»
  oracle: SELECT n, k, DENSE_RANK() OVER (ORDER BY c3 DESC, c4, k, n) FROM a
  window: 3 4
prepared: SELECT k, c1 FROM a ORDER BY c1 COLLATE utf8mb4_bin, k, n
  oracle: SELECT k, c1, DENSE_RANK() OVER (ORDER BY c1 COLLATE utf8mb4_bin, k, n) FROM a
prepared: SELECT k, c1 FROM a ORDER BY c1 COLLATE utf8mb4_bin, k, n LIMIT «5»
  oracle: SELECT k, c1, DENSE_RANK() OVER (ORDER BY c1 COLLATE utf8mb4_bin, k, n) FROM a
  window: 0 5
prepared: SELECT k, c1 FROM a ORDER BY c1 COLLATE utf8mb4_bin, k, n LIMIT «4» OFFSET «3»
  oracle: SELECT k, c1, DENSE_RANK() OVER (ORDER BY c1 COLLATE utf8mb4_bin, k, n) FROM a
  window: 3 4
prepared: SELECT k, n FROM a ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n) FROM a
prepared: SELECT k, n FROM a ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n LIMIT «5»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n) FROM a
  window: 0 5
prepared: SELECT k, n FROM a ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n LIMIT «4» OFFSET «3»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CONCAT(c2, '-'), DATE_FORMAT(c4, '%d'), k, n) FROM a
  window: 3 4
prepared: SELECT x.k, x.n, y.n FROM a x JOIN b y ON x.k = y.k ORDER BY y.c1, x.n, y.n DESC, x.k
  oracle: SELECT x.k, x.n, y.n, DENSE_RANK() OVER (ORDER BY y.c1, x.n, y.n DESC, x.k) FROM a x JOIN b y ON x.k = y.k
prepared: SELECT x.k, x.n, y.n FROM a x JOIN b y ON x.k = y.k ORDER BY y.c1, x.n, y.n DESC, x.k LIMIT «5»
  oracle: SELECT x.k, x.n, y.n, DENSE_RANK() OVER (ORDER BY y.c1, x.n, y.n DESC, x.k) FROM a x JOIN b y ON x.k = y.k
  window: 0 5
prepared: SELECT x.k, x.n, y.n FROM a x JOIN b y ON x.k = y.k ORDER BY y.c1, x.n, y.n DESC, x.k LIMIT «4» OFFSET «3»
  oracle: SELECT x.k, x.n, y.n, DENSE_RANK() OVER (ORDER BY y.c1, x.n, y.n DESC, x.k) FROM a x JOIN b y ON x.k = y.k
  window: 3 4
prepared: SELECT k, n FROM a ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n) FROM a
prepared: SELECT k, n FROM a ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n LIMIT «5»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n) FROM a
  window: 0 5
prepared: SELECT k, n FROM a ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n LIMIT «4» OFFSET «3»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY c2 IS NULL, c2, LENGTH(c1), k, n) FROM a
  window: 3 4
prepared: SELECT k, n FROM a ORDER BY CASE WHEN c2 > «1» THEN c1 ELSE 'm' END, k, n
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n) FROM a
prepared: SELECT k, n FROM a ORDER BY CASE WHEN c2 > «1» THEN c1 ELSE 'm' END, k, n LIMIT «5»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n) FROM a
  window: 0 5
prepared: SELECT k, n FROM a ORDER BY CASE WHEN c2 > «1» THEN c1 ELSE 'm' END, k, n LIMIT «4» OFFSET «3»
  oracle: SELECT k, n, DENSE_RANK() OVER (ORDER BY CASE WHEN c2 > 1 THEN c1 ELSE 'm' END, k, n) FROM a
  window: 3 4
prepared: SELECT c2, COUNT(*) FROM a GROUP BY c2 ORDER BY c2 DESC
  oracle: SELECT c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2 DESC) FROM a GROUP BY c2
prepared: SELECT c2, COUNT(*) FROM a GROUP BY c2 ORDER BY c2 DESC LIMIT «3»
  oracle: SELECT c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2 DESC) FROM a GROUP BY c2
  window: 0 3
prepared: SELECT c2, COUNT(*) FROM a GROUP BY c2 ORDER BY c2 DESC LIMIT «2» OFFSET «1»
  oracle: SELECT c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2 DESC) FROM a GROUP BY c2
  window: 1 2
prepared: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 ORDER BY COUNT(*) DESC, c2
  oracle: SELECT c2, COUNT(*) AS q, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC, c2) FROM a GROUP BY c2
prepared: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 ORDER BY COUNT(*) DESC, c2 LIMIT «3»
  oracle: SELECT c2, COUNT(*) AS q, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC, c2) FROM a GROUP BY c2
  window: 0 3
prepared: SELECT c2, COUNT(*) AS q FROM a GROUP BY c2 ORDER BY COUNT(*) DESC, c2 LIMIT «2» OFFSET «1»
  oracle: SELECT c2, COUNT(*) AS q, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC, c2) FROM a GROUP BY c2
  window: 1 2
prepared: SELECT c5, SUM(c2) FROM a GROUP BY c5 ORDER BY SUM(c2), c5
  oracle: SELECT c5, SUM(c2), DENSE_RANK() OVER (ORDER BY SUM(c2), c5) FROM a GROUP BY c5
prepared: SELECT c5, SUM(c2) FROM a GROUP BY c5 ORDER BY SUM(c2), c5 LIMIT «3»
  oracle: SELECT c5, SUM(c2), DENSE_RANK() OVER (ORDER BY SUM(c2), c5) FROM a GROUP BY c5
  window: 0 3
prepared: SELECT c5, SUM(c2) FROM a GROUP BY c5 ORDER BY SUM(c2), c5 LIMIT «2» OFFSET «1»
  oracle: SELECT c5, SUM(c2), DENSE_RANK() OVER (ORDER BY SUM(c2), c5) FROM a GROUP BY c5
  window: 1 2
prepared: SELECT c5, MAX(c1) FROM a GROUP BY c5 ORDER BY MAX(c1), c5 DESC
  oracle: SELECT c5, MAX(c1), DENSE_RANK() OVER (ORDER BY MAX(c1), c5 DESC) FROM a GROUP BY c5
  loose: 1=utf8mb4_unicode_ci
prepared: SELECT c5, MAX(c1) FROM a GROUP BY c5 ORDER BY MAX(c1), c5 DESC LIMIT «3»
  oracle: SELECT c5, MAX(c1), DENSE_RANK() OVER (ORDER BY MAX(c1), c5 DESC) FROM a GROUP BY c5
  window: 0 3
  loose: 1=utf8mb4_unicode_ci
prepared: SELECT c5, MAX(c1) FROM a GROUP BY c5 ORDER BY MAX(c1), c5 DESC LIMIT «2» OFFSET «1»
  oracle: SELECT c5, MAX(c1), DENSE_RANK() OVER (ORDER BY MAX(c1), c5 DESC) FROM a GROUP BY c5
  window: 1 2
  loose: 1=utf8mb4_unicode_ci
prepared: SELECT c5, c2, COUNT(*) FROM a GROUP BY c5, c2 ORDER BY c2, c5 DESC
  oracle: SELECT c5, c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2, c5 DESC) FROM a GROUP BY c5, c2
prepared: SELECT c5, c2, COUNT(*) FROM a GROUP BY c5, c2 ORDER BY c2, c5 DESC LIMIT «3»
  oracle: SELECT c5, c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2, c5 DESC) FROM a GROUP BY c5, c2
  window: 0 3
prepared: SELECT c5, c2, COUNT(*) FROM a GROUP BY c5, c2 ORDER BY c2, c5 DESC LIMIT «2» OFFSET «1»
  oracle: SELECT c5, c2, COUNT(*), DENSE_RANK() OVER (ORDER BY c2, c5 DESC) FROM a GROUP BY c5, c2
  window: 1 2
prepared: SELECT k, COUNT(*), MAX(c3) FROM a GROUP BY k ORDER BY MAX(c3) DESC, k
  oracle: SELECT k, COUNT(*), MAX(c3), DENSE_RANK() OVER (ORDER BY MAX(c3) DESC, k) FROM a GROUP BY k
prepared: SELECT k, COUNT(*), MAX(c3) FROM a GROUP BY k ORDER BY MAX(c3) DESC, k LIMIT «3»
  oracle: SELECT k, COUNT(*), MAX(c3), DENSE_RANK() OVER (ORDER BY MAX(c3) DESC, k) FROM a GROUP BY k
  window: 0 3
prepared: SELECT k, COUNT(*), MAX(c3) FROM a GROUP BY k ORDER BY MAX(c3) DESC, k LIMIT «2» OFFSET «1»
  oracle: SELECT k, COUNT(*), MAX(c3), DENSE_RANK() OVER (ORDER BY MAX(c3) DESC, k) FROM a GROUP BY k
  window: 1 2
prepared: SELECT YEAR(c4), COUNT(*) FROM a GROUP BY YEAR(c4) ORDER BY YEAR(c4) DESC
  oracle: SELECT YEAR(c4), COUNT(*), DENSE_RANK() OVER (ORDER BY YEAR(c4) DESC) FROM a GROUP BY YEAR(c4)
prepared: SELECT YEAR(c4), COUNT(*) FROM a GROUP BY YEAR(c4) ORDER BY YEAR(c4) DESC LIMIT «3»
  oracle: SELECT YEAR(c4), COUNT(*), DENSE_RANK() OVER (ORDER BY YEAR(c4) DESC) FROM a GROUP BY YEAR(c4)
  window: 0 3
prepared: SELECT YEAR(c4), COUNT(*) FROM a GROUP BY YEAR(c4) ORDER BY YEAR(c4) DESC LIMIT «2» OFFSET «1»
  oracle: SELECT YEAR(c4), COUNT(*), DENSE_RANK() OVER (ORDER BY YEAR(c4) DESC) FROM a GROUP BY YEAR(c4)
  window: 1 2
prepared: SELECT c2, AVG(c3) FROM a GROUP BY c2 ORDER BY AVG(c3), c2
  oracle: SELECT c2, AVG(c3), DENSE_RANK() OVER (ORDER BY AVG(c3), c2) FROM a GROUP BY c2
prepared: SELECT c2, AVG(c3) FROM a GROUP BY c2 ORDER BY AVG(c3), c2 LIMIT «3»
  oracle: SELECT c2, AVG(c3), DENSE_RANK() OVER (ORDER BY AVG(c3), c2) FROM a GROUP BY c2
  window: 0 3
prepared: SELECT c2, AVG(c3) FROM a GROUP BY c2 ORDER BY AVG(c3), c2 LIMIT «2» OFFSET «1»
  oracle: SELECT c2, AVG(c3), DENSE_RANK() OVER (ORDER BY AVG(c3), c2) FROM a GROUP BY c2
  window: 1 2
# Windows whose partitions are whole.
text: SELECT k, n, ROW_NUMBER() OVER (PARTITION BY k ORDER BY n) AS r FROM a
text: SELECT k, n, RANK() OVER w AS r, SUM(c2) OVER (PARTITION BY k, c5) FROM a WINDOW w AS (PARTITION BY k ORDER BY c2)
text: SELECT * FROM (SELECT k, n, c2, ROW_NUMBER() OVER (PARTITION BY k ORDER BY n DESC) AS r FROM a) d WHERE r = 1
prepared: SELECT d.k, b.n FROM (SELECT k, n, ROW_NUMBER() OVER (PARTITION BY k ORDER BY n DESC) AS r FROM a) d JOIN b ON b.k = d.k WHERE d.r = «1»
text: SELECT k, SUM(c2), RANK() OVER (PARTITION BY k ORDER BY n) FROM a GROUP BY k, n
text: SELECT DISTINCT COUNT(*) OVER (PARTITION BY k) AS q FROM a
text: SELECT k, n, q FROM (SELECT k, n, COUNT(*) OVER (PARTITION BY k) AS q FROM a) d ORDER BY q DESC, k, n LIMIT 5
  oracle: SELECT k, n, q, DENSE_RANK() OVER (ORDER BY q DESC, k, n) FROM (SELECT k, n, COUNT(*) OVER (PARTITION BY k) AS q FROM a) d
  window: 0 5
# UNION ALL of what the shards have of their own.
text: SELECT k, n FROM a UNION ALL SELECT k, n FROM b
text: SELECT k, n FROM a WHERE k = 3 UNION ALL SELECT k, n FROM b WHERE k IN (4, 5)
text: SELECT k, COUNT(*) FROM a GROUP BY k UNION ALL SELECT x.k, x.n FROM b x WHERE EXISTS (SELECT 1 FROM a WHERE a.k = x.k)
prepared: SELECT k, n FROM a WHERE c2 > «1» UNION ALL SELECT k, n FROM b WHERE k <> «3»
text: SELECT k, n, c2 + 1 AS p FROM a ORDER BY p IS NULL DESC, p, FIELD(p, 3, 2), k, n LIMIT 7
  oracle: SELECT k, n, c2 + 1 AS p, DENSE_RANK() OVER (ORDER BY c2 + 1 IS NULL DESC, c2 + 1, FIELD(c2 + 1, 3, 2), k, n) FROM a
  window: 0 7
prepared: SELECT k, n, UPPER(c1) AS u FROM a ORDER BY u LIKE «'a%'», u = «'B'» DESC, k, n
  oracle: SELECT k, n, UPPER(c1) AS u, DENSE_RANK() OVER (ORDER BY UPPER(c1) LIKE «'a%'», UPPER(c1) = «'B'» DESC, k, n) FROM a
