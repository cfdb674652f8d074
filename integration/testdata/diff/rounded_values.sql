# Sums, orders and conditions of values that are shown with fewer digits than they have, and aggregates of an outer query.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, d DOUBLE(10,2), f FLOAT(10,2), y YEAR, PRIMARY KEY (k))
text: INSERT INTO a (k,n,d,f,y) VALUES (1,1,1,65536.05,2000),(2,1,1,65536.05,2001),(3,1,1,65536.05,2001),(4,1,1,65536.05,2020),(5,1,1,65536.05,2001),(6,1,1,65536.05,2001),(7,1,1,65536.05,1999)
text: SELECT SUM(n/3) FROM a
prepared: SELECT SUM(n/3) FROM a
text: SELECT AVG(n/3) FROM a
text: SELECT SUM(n/3) FROM a HAVING SUM(n/3) > 2.3333
text: SELECT SUM(d/3) FROM a
text: SELECT SUM(d), AVG(d) FROM a
text: SELECT SUM(f) FROM a
text: SELECT AVG(f) FROM a
text: SELECT SUM(f + 1) FROM a
text: SELECT DISTINCT d*k/1000000000 FROM a
prepared: SELECT MAX(d*k/1000000000) FROM a
prepared: SELECT MAX(d/3) FROM a HAVING MAX(d/3) = 0.333333
text: SELECT y, COUNT(*) FROM a GROUP BY y HAVING y = 1 OR COUNT(*) > 100
text: SELECT y, COUNT(*) FROM a GROUP BY y HAVING y > 2000.5 OR COUNT(*) > 100
text: SELECT (SELECT SUM(a.n)) FROM a
text: SELECT 1 FROM a HAVING (SELECT COUNT(a.k)) > 1
text: SELECT k FROM a ORDER BY d*k/1000000000 DESC LIMIT 3
  oracle: SELECT k, DENSE_RANK() OVER (ORDER BY k DESC) FROM a
  window: 0 3
text: SELECT SUM(q.x) FROM (SELECT k, n/3 AS x FROM a) AS q
text: SELECT SUM(q.x) FROM (SELECT k, d/3 AS x FROM a) AS q
text: SELECT q.x, COUNT(*) FROM (SELECT k, n/3 AS x FROM a) AS q GROUP BY q.x
text: SELECT (SELECT SUM(q.n)) FROM (SELECT k, n FROM a) AS q
