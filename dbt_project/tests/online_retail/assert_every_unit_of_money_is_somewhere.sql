-- Money in raw = orders + refunds + charges + guests + rejects to the last digit, and so many lines in each.
-- Raw is summed by casts of its own, not by staging's, but for 1,899.00 and the like; a line without a readable amount is a reject without one.
{{ config(enabled=var('source') == 'online_retail') }}
with

rejects as (

    select * from {{ ref('stg_online_retail__invoice_lines_rejected') }}

),

raw_money as (

    select
        count(*) as count_lines,
        coalesce(
            sum(
                case
                    when unreadable.line_number is not null then 0
                    when lines.quantity ~ '^[-+0-9.eE \s]+$' and lines.price ~ '^[-+0-9.eE \s]+$'
                        then round(lines.quantity::numeric, 18) * round(lines.price::numeric, 18)
                    else {{ as_number('lines.quantity') }} * {{ as_number('lines.price') }}
                end
            ), 0
        ) as amount

    from {{ source('raw', 'online_retail_invoice_lines') }} as lines

    left join rejects as unreadable
        on
            lines._file_id = unreadable.file_id
            and lines._line = unreadable.line_number
            and unreadable.line_amount is null

    where lines._file_id in (select file_id from {{ ref('stg_ops__landed_files') }} where is_accepted)

),

parts as (

    select
        case when is_guest then 'guests' else 'orders' end as part,
        line_amount as amount

    from {{ ref('fct_order_items') }}

    union all

    select
        case when is_guest then 'guests' else 'refunds' end as part,
        -refund_amount as amount

    from {{ ref('fct_refunds') }}

    union all

    select
        'charges' as part,
        charge_amount as amount

    from {{ ref('fct_charges') }}

    union all

    select
        'rejects' as part,
        line_amount as amount

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
