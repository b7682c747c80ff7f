-- One row per line of an accepted file, whatever it holds, with its money as a person would read
-- it. It reads none of the models that judge: builds are reconciled with it.
select
    'invoice_lines' as table_name,
    _file_id as file_id,
    _line as line_number,
    upper({{ as_id('invoice') }}) as order_id,
    {{ estimated_amount('quantity', 'price') }} as sent_amount

from {{ source('raw', 'online_retail_invoice_lines') }}

where _file_id in (select file_id from {{ ref('stg_ops__landed_files') }} where is_accepted)
