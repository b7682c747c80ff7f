-- Statements of expectations/rejects.py, each under its name.

-- name: sent
-- Orders and refunds that count, and their money, by group; for products the number of lines.
with

orders as (

    select country, to_char(ordered_date, 'YYYY-MM') as month, product_amount + charge_amount as amount
    from marts.fct_orders

    union all

    select sent.country, to_char(sent.ordered_date, 'YYYY-MM'), sum(refunds.refund_amount)
    from marts.fct_refunds as refunds
    inner join intermediate.int_orders as sent on refunds.refund_id = sent.order_id
    group by sent.order_id, sent.country, sent.ordered_date

),

items as (

    select product_id, count(*) as count_lines, sum(line_amount) as amount
    from marts.fct_order_items
    group by product_id

    union all

    select product_id, count(*), sum(refund_amount)
    from marts.fct_refunds
    group by product_id

    union all

    select charge_code, count(*), sum(abs(charge_amount))
    from marts.fct_charges
    group by charge_code

)

select
    case when grouping(month) = 0 then 'month' when grouping(country) = 0 then 'country' else 'all' end,
    coalesce(country, month, ''),
    count(*),
    coalesce(sum(amount), 0)::double precision
from orders
group by grouping sets ((), (country), (month))
having grouping(country) = 1 or country is not null

union all

select 'product', product_id, sum(count_lines), sum(amount)::double precision
from items
group by product_id

union all

select
    'table',
    substr(files.table_name, length(files.source) + 2),
    sum(files.record_count),
    0
from ops.landed_files as files
inner join staging.stg_ops__landed_files as seen on files.file_id = seen.file_id
where seen.is_accepted
group by files.source, files.table_name

-- name: rejected
-- Rejected orders and money, by group and reason (without the details after its colon), and over
-- all faults. The reason '' has sent orders and money that are nowhere else: orders in no mart, and
-- the money of all rejected rows except those sent again.
with

counted_orders as (

    select order_id from marts.fct_orders
    union
    select refund_id from marts.fct_refunds

),

rejects as (

    select
        rejects.table_name,
        coalesce(rejects.order_id, rejects.file_id || ':' || rejects.line_number) as order_key,
        rejects.country,
        to_char(rejects.ordered_date, 'YYYY-MM') as month,
        rejects.product_id,
        abs(coalesce(rejects.sent_amount, 0)) as amount,
        split_part(rejects.rejected_reason, ':', 1) as rejected_reason,
        rejects.rejected_reason !~ %(no_fault)s as is_fault,
        orders.order_id is not null as is_counted,
        rejects.rejected_reason ~ %(sent_again)s as is_sent_again,
        coalesce(rejects.order_id, rejects.sent_amount::text, rejects.ordered_date::text) is not null
            as is_of_an_order
    from intermediate.int_rejected_rows as rejects
    left join counted_orders as orders on rejects.order_id = orders.order_id

)

select
    case
        when grouping(month) = 0 then 'month'
        when grouping(country) = 0 then 'country'
        when grouping(product_id) = 0 then 'product'
        else 'all'
    end,
    coalesce(country, month, product_id, ''),
    case when grouping(is_fault) = 0 then %(several)s else coalesce(rejected_reason, '') end,
    case
        when grouping(rejected_reason, is_fault) < 3 then count(distinct order_key)
        when grouping(product_id) = 0 then count(distinct order_key) filter (where not is_sent_again)
        else count(distinct order_key) filter (where not is_sent_again and not is_counted)
    end,
    case
        when grouping(rejected_reason, is_fault) < 3 then coalesce(sum(amount), 0)
        else coalesce(sum(amount) filter (where not is_sent_again), 0)
    end::double precision
from rejects
where is_of_an_order
group by grouping sets (
    (), (country), (month), (product_id),
    (rejected_reason), (rejected_reason, country), (rejected_reason, month), (rejected_reason, product_id),
    (is_fault), (is_fault, country), (is_fault, month), (is_fault, product_id)
)
having
    (grouping(is_fault) = 1 or is_fault)
    and (grouping(country) = 1 or country is not null)
    and (grouping(month) = 1 or month is not null)
    and (grouping(product_id) = 1 or product_id is not null)

union all

select 'table', table_name, case when grouping(is_fault) = 0 then %(several)s else rejected_reason end, count(*), 0
from rejects
group by grouping sets ((table_name, rejected_reason), (table_name, is_fault))
having grouping(is_fault) = 1 or is_fault

-- name: examples
-- Rejected rows of a reason: newest files first, lines before orders, most money first.
select
    rejects.order_id,
    rejects.product_id,
    regexp_replace(files.file_name, '^.*/', ''),
    rejects.line_number
from intermediate.int_rejected_rows as rejects
inner join ops.landed_files as files on rejects.file_id = files.file_id
where
    split_part(rejects.rejected_reason, ':', 1) = %(reason)s
    or (%(reason)s = %(several)s and rejects.rejected_reason !~ %(no_fault)s)
order by
    files.batch_id desc,
    rejects.product_id is null,
    abs(coalesce(rejects.sent_amount, 0)) desc,
    rejects.file_id,
    rejects.line_number
limit %(count)s

-- name: batches
-- Batches landed since this gate last let a build pass; whether the raw gate, not a person,
-- accepted the batch; and whether any of its rows is rejected for one of the reasons.
select
    files.batch_id,
    bool_and(files.status = 'held' or files.status_reason like 'passed the gate%%') as is_by_gate,
    bool_or(rejects.file_id is not null) as has_rejects
from ops.landed_files as files
inner join ops.built_files as built on files.file_id = built.file_id
left join (
    select distinct file_id
    from intermediate.int_rejected_rows
    where
        split_part(rejected_reason, ':', 1) = any(%(reasons)s::text[])
        or (%(several)s = any(%(reasons)s::text[]) and rejected_reason !~ %(no_fault)s)
) as rejects on files.file_id = rejects.file_id
where built.passed_at is null and files.status in ('held', 'accepted')
group by files.batch_id
order by files.batch_id

-- name: comparable
-- True if the stored levels were computed by the same rules, or if this is a first load.
select case
    when exists (select from ops.reject_levels)
        then not exists (
            select from ops.reject_levels
            where rules is distinct from (select min(rules) from staging.stg_ops__landed_files)
        )
    else not exists (select from ops.publications)
end

-- name: changed
select exists (select from intermediate.int_changed_files)

-- name: levels
select dimension, group_name, reason, count_orders::double precision, amount::double precision
from ops.reject_levels
where anchor = %(anchor)s

-- name: anchored
select max(as_of_date) from ops.reject_levels where anchor = %(anchor)s

-- name: build
-- Identity of the build to check: its files as they were built, and its date.
select coalesce(md5(string_agg(file_id || ' ' || built_at, ',' order by file_id)), 'none') || ' ' || %(as_of_date)s
from ops.built_files

-- name: is of build
select exists (select from ops.reject_levels where anchor = %(anchor)s and build = %(build)s)

-- name: keep before
insert into ops.reject_levels
(anchor, dimension, group_name, reason, count_orders, amount, as_of_date, rules, build)
select 'before ' || anchor, dimension, group_name, reason, count_orders, amount, as_of_date, rules, build
from ops.reject_levels
where anchor = %(anchor)s

-- name: rules
select min(rules) from staging.stg_ops__landed_files

-- name: passed
update ops.built_files set passed_at = now() where passed_at is null

-- name: reduced
-- Orders that were sent again with less money than before, most lost money first.
select order_id, country, to_char(ordered_date, 'YYYY-MM'), reduced_amount::double precision
from intermediate.int_reduced_orders
order by reduced_amount desc, order_id
