-- Money in raw = orders + refunds + charges + rejects, guests' included, to the last digit, and so many lines.
-- Raw is summed by casts of its own, not by staging's, but for 1,899.00 and the like; a line without a readable amount is a reject without one.
-- Quantities are positive in sales and refunds alike, so all parts add.
{{ config(enabled=var('source') == 'canonical') }}
with

rejects as (

    select
        file_id,
        line_number,
        quantity * unit_price_amount as line_amount

    from {{ ref('stg_canonical__order_items_judged') }}
    where rejected_reason is not null

),

raw_money as (

    select
        count(*) as count_lines,
        coalesce(
            sum(
                case
                    when unreadable.line_number is not null then 0
                    when items.quantity ~ '^[-+0-9.eE \s]+$' and items.unit_price_amount ~ '^[-+0-9.eE \s]+$'
                        then round(items.quantity::numeric, 18) * round(items.unit_price_amount::numeric, 18)
                    else {{ as_number('items.quantity') }} * {{ as_number('items.unit_price_amount') }}
                end
            ), 0
        ) as amount

    from {{ source('raw', 'canonical_order_items') }} as items

    left join rejects as unreadable
        on
            items._file_id = unreadable.file_id
            and items._line = unreadable.line_number
            and unreadable.line_amount is null

    where items._file_id in (select file_id from {{ ref('stg_ops__landed_files') }} where is_accepted)

),

parts as (

    select line_amount as amount
    from {{ ref('fct_order_items') }}

    union all

    select refund_amount as amount
    from {{ ref('fct_refunds') }}

    union all

    select case order_type when 'refund' then -1 else 1 end * charge_amount as amount
    from {{ ref('fct_charges') }}

    union all

    select line_amount as amount
    from rejects

),

totals as (

    select
        count(*) as count_lines,
        coalesce(sum(amount), 0) as amount

    from parts

)

select
    raw_money.count_lines as raw_count_lines,
    totals.count_lines as parts_count_lines,
    raw_money.amount as raw_amount,
    totals.amount as parts_amount

from raw_money

cross join totals

where raw_money.amount <> totals.amount or raw_money.count_lines <> totals.count_lines
