-- Those of some lines of a file of the batch at hand that are good. What gives the good lines of the
-- batch takes the place of the comment.
SELECT line_no
FROM
(
    /*lines*/
)
WHERE source = {source:String} AND line_no IN {lines:Array(UInt64)}
